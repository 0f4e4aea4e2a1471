"""Bad input as a person meets it: a command, its exit status, and what stands on the terminal after it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bad_inputs import settings
from bad_inputs.corpus import build, left_behind, what_lies_in
from bad_inputs.sources import CASES

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-c", "import sys; from flows.cli import app; sys.argv[0] = 'segspade'; app()"]
# one for each way a source goes wrong: a file, a map, a pair, an archive, a split
CHOSEN = [
    ("truncated PNG", "cityscapes", "folder"),
    ("colours for ids", "minicity", "folder"),
    ("photograph without a label map", "camvid", "zip"),
    ("zip slip", "cityscapes", "zip"),
    ("empty split", "cityscapes", "folder"),
]


def segspade(folder: Path, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.prefect
@pytest.mark.parametrize(("name", "layout", "way"), CHOSEN)
def test_a_bad_source(name: str, layout: str, way: str, tmp_path: Path, prefect_api: str) -> None:
    """Fault: a traceback, another status, a message that is broken or not alone, files that stay."""
    (tmp_path / "given").mkdir()
    (tmp_path / "temporary").mkdir()
    case = next(case for case in CASES if case.name == name)
    place, city = build(case, layout, way, tmp_path / "given")
    before = what_lies_in(tmp_path / "given")
    words = ("ingest", place, "--layout", layout, "--size", "32x64", "-w", "workspace")
    done = segspade(tmp_path, *words, PREFECT_API_URL=prefect_api, TMPDIR=str(tmp_path / "temporary"))
    assert done.returncode == 2
    assert done.stderr == f"error: {case.told(place, city)}\n"
    assert done.stdout == ""
    hidden = [path for path in left_behind(tmp_path / "workspace") if not path.startswith(".prefect")]
    assert hidden == []
    assert what_lies_in(tmp_path / "given") == before
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("name", ["NaN", "key twice"])
def test_a_bad_config(name: str, tmp_path: Path) -> None:
    """The same, of a config; nothing is begun, so no server either."""
    case = next(case for case in settings.CASES if case.name == name)
    file = tmp_path / "run.yaml"
    file.write_bytes(case.content)
    done = segspade(tmp_path, "run", file, "-w", "workspace")
    assert done.returncode == 2
    assert done.stderr == f"error: {case.message.format(file=file)}\n"
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]
