"""`segspade artifacts verify`, `remove`, `gc` and `du`, as typed: what they print, and their exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import Result
from every_kind import make_every_kind
from typer.testing import CliRunner

from flows.cli import app
from storage.aliases import Aliases
from storage.refs import KINDS, ArtifactRef
from storage.store import Store


@pytest.fixture
def refs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ArtifactRef]:
    """An artifact of every kind in ./workspace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return make_every_kind(Store(tmp_path / "workspace"))


def typed(words: str) -> Result:
    result = CliRunner().invoke(app, ["artifacts", *words.split()])
    assert "Traceback" not in result.output
    return result


def test_verify_tells_bytes_rate_and_problems(refs: dict[str, ArtifactRef]) -> None:
    """Faults: a damaged file does not end with status 3; `--quick` reads what it need not."""
    whole = typed("verify")
    assert whole.exit_code == 0
    assert re.fullmatch(
        rf"{len(KINDS)} artifacts, [\d.]+ kB read in \d+\.\d s, [\d.]+ [kMG]B/s, 0 problems",
        whole.stderr.strip(),
    )
    shard = Path("workspace/artifacts") / str(refs["images"]) / "val.zarr/image/c/0/0/0/0"
    content = bytearray(shard.read_bytes())
    content[9] ^= 1
    shard.write_bytes(content)
    damaged = typed("verify")
    assert damaged.exit_code == 3
    problem, mend, *_ = damaged.stderr.splitlines()
    assert problem == f"{refs['images']}/val.zarr/image/c/0/0/0/0: altered"
    assert mend.startswith(
        f"to mend it: `segspade artifacts remove {refs['images']} --force` deletes it, and"
    )
    assert damaged.stderr.strip().endswith(", 1 problem")
    assert typed(f"verify {refs['dataset']}").exit_code == 0
    assert typed("verify --quick").exit_code == 0
    shard.write_bytes(content[:-1])
    quick = typed("verify --quick --json")
    assert quick.exit_code == 3
    assert [(each["ref"], each["file"]) for each in json.loads(quick.stdout)] == [
        (str(refs["images"]), "val.zarr/image/c/0/0/0/0")
    ]


def test_what_is_reached_is_removed_by_force_alone(refs: dict[str, ArtifactRef]) -> None:
    """Faults: production vanishes; some of several are gone when the command ends with an error."""
    store = Store(Path("workspace"))
    Aliases(store.root).set("segmenter", "production", refs["segmenter"].key)
    refused = typed(f"remove {refs['dataset']} segmenter/production")
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"error: {refs['segmenter']}: reached by segmenter/production; --force deletes it all the same\n"
    )
    assert len(store.refs()) == len(KINDS)
    done = typed(f"remove {refs['dataset']} segmenter/production --force")
    assert (done.exit_code, done.stdout) == (0, f"deleted {refs['dataset']}\ndeleted {refs['segmenter']}\n")
    assert len(store.refs()) == len(KINDS) - 2
    assert typed(f"remove {refs['dataset']}").exit_code == 2


def test_what_an_error_says_to_type_mends(refs: dict[str, ArtifactRef]) -> None:
    """Fault: a manifest that cannot be read keeps its artifact from being removed."""
    store = Store(Path("workspace"))
    Aliases(store.root).set("scores", "mine", refs["scores"].key)
    (store.path(refs["scores"]) / "manifest.json").write_text("{}")
    shown = typed("show scores/mine")
    assert shown.exit_code == 3
    (words,) = re.findall(r"`segspade artifacts ([^`]+)`", shown.stderr.replace("\n", " "))
    assert typed(words).exit_code == 0
    assert not store.exists(refs["scores"])


def test_gc_lists_first_and_spares_what_it_is_told_to(refs: dict[str, ArtifactRef]) -> None:
    """Faults: it deletes when it is only to list; options that change nothing."""
    store = Store(Path("workspace"))
    listed = typed("gc")
    assert listed.exit_code == 0
    assert len(re.findall("^would delete ", listed.stdout, re.M)) == len(KINDS) - 1
    assert re.search(rf"{len(KINDS) - 1} items, [\d.]+ kB; --delete deletes them", listed.stderr)
    for spared in ("gc --keep-last 1 --delete", "gc --older-than 1h --delete"):
        assert json.loads(typed(f"{spared} --json").stdout)["items"] == []
    assert len(store.refs()) == len(KINDS)
    wrong = typed("gc --older-than 3m")
    assert (wrong.exit_code, wrong.stderr.startswith("error: --older-than 3m: not a number of")) == (2, True)
    assert len(re.findall("^deleted ", typed("gc --older-than 0h --delete").stdout, re.M)) >= len(KINDS) - 1
    assert store.refs() == [refs["report"]]


@pytest.mark.parametrize("columns", ["80", "120"])
def test_du_tells_every_kind_and_artifact(
    refs: dict[str, ArtifactRef], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """Faults: a key that is cut; a kind that is left out; bytes that are not those on the disk."""
    monkeypatch.setenv("COLUMNS", columns)
    shown = typed("du")
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= int(columns)
    for ref in refs.values():
        assert re.search(rf"{ref.kind} .*1 folder .*\n.* {ref.key} ", shown.stdout), shown.stdout
    assert re.search(r"^[\d.]+ kB in workspace; [\d.]+ [GT]B are free$", shown.stderr, re.M)
    found = json.loads(typed("du --json").stdout)
    disk = sum(path.stat().st_size for path in Path("workspace/artifacts").rglob("*") if path.is_file())
    assert found["bytes"] == sum(found["kinds"].values()) == disk
    assert set(found["kinds"]) == set(refs)
    assert {each["key"] for each in found["folders"]} == {ref.key for ref in refs.values()}
    assert list(json.loads(typed("du images --json").stdout)["kinds"]) == ["images"]
    assert typed("du models").exit_code == 2
