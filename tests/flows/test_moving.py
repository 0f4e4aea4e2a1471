"""`segspade push` and `pull`, as typed: what they print, and their exit status."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from every_kind import make_every_kind
from typer.testing import CliRunner

from flows.cli import app
from storage.aliases import Aliases
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.store import Store


@pytest.fixture
def refs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ArtifactRef]:
    """An artifact of every kind in ./workspace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return make_every_kind(Store(tmp_path / "workspace"))


def typed(words: str) -> Result:
    result = CliRunner().invoke(app, words.split())
    assert "Traceback" not in result.output
    return result


def test_what_was_copied_is_told_and_what_was_there(refs: dict[str, ArtifactRef]) -> None:
    """Faults: a program cannot take the key from standard output; a second push copies again."""
    first = typed(f"push {refs['segmenter']} --to other")
    assert first.exit_code == 0
    assert first.stdout.split() == [str(refs["segmenter"])]
    lines = first.stderr.splitlines()
    assert f"copied {refs['segmenter']}, " in lines[-2]
    assert re.fullmatch(
        r"\d artifacts?, [\d.]+ k?B copied to \S+/other in [\d.]+ s, [\d.]+ [kM]?B/s; 0 there already",
        lines[-1],
    )
    again = typed(f"push {refs['segmenter']} --to other")
    assert again.stderr.startswith(f"0 artifacts, 0 B copied to {Path('other').absolute()}; ")
    assert again.exit_code == 0


def test_the_copy_gets_an_alias(refs: dict[str, ArtifactRef]) -> None:
    typed(f"push {refs['segmenter']} --to other")
    assert Aliases(Path("other")).list() == []
    pulled = typed(f"pull {refs['segmenter']} --from other --workspace third --alias best")
    assert pulled.exit_code == 0
    assert Aliases(Path("third")).get("segmenter", "best") == refs["segmenter"].key
    assert Aliases(Path("third")).history("segmenter", "best")[-1]["reason"] == "copied from other"


def test_other_contents_under_the_same_key_are_told(refs: dict[str, ArtifactRef]) -> None:
    """Fault: whoever pushes a model believes that theirs is there now."""
    other = Store(Path("other").absolute())
    manifest = Store(Path("workspace")).manifest(refs["statistics"])
    with other.writer(refs["statistics"]) as staging:
        assert staging is not None
        (staging.path / "else.json").write_text("{}")
        staging.commit(
            stage=manifest.stage, revision=manifest.revision, config=manifest.config, inputs=manifest.inputs
        )
    pushed = typed(f"push {refs['statistics']} --to other")
    assert pushed.exit_code == 0
    assert f"{refs['statistics']}: {other.where} has other contents under this key, made 20" in pushed.stderr
    assert (
        f"`segspade artifacts remove {refs['statistics']} --force --workspace {other.where}`" in pushed.stderr
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "push REF --to workspace",
            "HERE/workspace: is the very workspace that would be copied from; name another",
        ),
        ("push nothing/a --to other", "'nothing/a': 'nothing' is no kind of artifact"),
        ("push segmenter/none --to other", "'segmenter/none' is not in workspace"),
        ("push REF OTHER --to other --alias best", "--alias best: names one artifact, and these are 2"),
        ("push REF --to other --alias a/b", "alias 'a/b': letters, digits"),
        ("pull REF --from nowhere", "nowhere: there is no workspace; name another with --from"),
        ("push REF --to file", "file: no workspace can be made there (it is a file); give another with --to"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_made(
    refs: dict[str, ArtifactRef], tmp_path: Path, words: str, message: str
) -> None:
    Path("file").touch()
    result = typed(words.replace("REF", str(refs["segmenter"])).replace("OTHER", str(refs["scores"])))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {message.replace('HERE', str(tmp_path))}")
    assert not Path("other").exists()


def test_a_push_that_is_ended_goes_on(tmp_path: Path) -> None:
    """Faults: SIGTERM leaves something that is taken for an artifact, or a push begins anew after it."""
    source, other = Store(tmp_path / "workspace"), Store(tmp_path / "other")
    of = {"stage": "test", "revision": 1, "config": {}, "inputs": {"source": "source/" + "0" * 32}}
    ref = ArtifactRef(kind="minicity", key=artifact_key(**of))  # type: ignore[arg-type]
    with source.writer(ref) as staging:
        assert staging is not None
        for number in range(400):
            (staging.path / f"{number:03}.bin").write_bytes(np.random.default_rng(number).bytes(300_000))
        staging.commit(**of)  # type: ignore[arg-type]
    command = [sys.executable, "-c", "from flows.cli import app; app()", "push", str(ref), "--to", "other"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    staged = other.staging_path(ref)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(staged.glob("*.bin"))) < 40:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert errors == "stopped; run the same again to go on from here\n"
    assert not other.exists(ref)
    there = {path: path.stat().st_ino for path in staged.glob("*.bin")}
    assert 40 <= len(there) < 400
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert other.verify(ref) == []
    assert all((other.path(ref) / path.name).stat().st_ino == inode for path, inode in there.items())
