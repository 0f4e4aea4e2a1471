"""What `artifacts` and `alias` print about a workspace that is empty, damaged or wide."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from handmade import commit
from typer.testing import CliRunner, Result

from flows.cli import app
from storage.aliases import Aliases


def typed(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "artifacts").mkdir()
    return tmp_path


def test_an_empty_list_is_a_sentence_and_no_table(workspace: Path) -> None:
    """Fault: a heading over nothing, which reads as if something had gone wrong."""
    listed = typed("artifacts", "list", "segmenter", "-w", workspace)
    assert (listed.stdout, "holds no segmenter yet" in listed.stderr) == ("", True)
    listed = typed("alias", "list", "-w", workspace)
    assert (listed.stdout, "has no aliases yet" in listed.stderr) == ("", True)


def test_an_alias_of_what_was_deleted_says_so(workspace: Path) -> None:
    """Fault: `segmenter/production` looks well until a run asks for it."""
    kept = commit(workspace, "segmenter")
    Aliases(workspace).set("segmenter", "kept", kept.key)
    Aliases(workspace).set("segmenter", "gone", "b" * 16)
    lines = typed("alias", "list", "-w", workspace).stdout.splitlines()
    assert [line.split() for line in lines if "segmenter/" in line] == [
        ["segmenter/gone", "b" * 16, "deleted", "since"],
        ["segmenter/kept", kept.key],
    ]
    listed = json.loads(typed("alias", "list", "--json", "-w", workspace).stdout)
    assert {row["name"]: row["exists"] for row in listed} == {"gone": False, "kept": True}


def test_a_manifest_keeps_its_levels_in_a_narrow_window(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: what is wrapped begins at the left, as if it were a setting of its own."""
    monkeypatch.setenv("COLUMNS", "60")
    long = "a sentence that is longer than a window of sixty columns has room for beside the names"
    ref = commit(workspace, "segmenter", config={"outer": {"note": long, "after": 1}})
    lines = [
        line.rstrip() for line in typed("artifacts", "show", str(ref), "-w", workspace).stdout.splitlines()
    ]
    begin = next(i for i, line in enumerate(lines) if line.startswith("config"))
    block = lines[begin : begin + 6]
    assert block[0] == "config      outer:"
    assert block[1].startswith(" " * 14 + "note: a sentence")
    after = block.index(" " * 14 + "after: 1")
    assert after > 2
    assert all(re.match(r" {18}\S", line) for line in block[2:after])
    assert max(map(len, lines)) <= 60 or lines[0] == max(lines, key=len)
