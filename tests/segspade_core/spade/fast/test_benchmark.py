"""benchmarks/synthesis.py, where what it is asked for cannot be measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "synthesis.py"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "nosuch"], "--labels and --instances go together: give both folders, or neither"),
        (["--labels", "nosuch", "--instances", "one"], "nosuch: no such folder, or no PNG in it"),
        (["--labels", "one", "--instances", "nosuch"], "nosuch: no such folder, or no PNG in it"),
        (
            ["--labels", "one", "--instances", "two"],
            "one holds 1 PNGs and two 2: give as many instance maps as label maps, in the same order",
        ),
        (["--rounds", "0"], "--rounds 0: paint one map or more"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(arguments: list[str], message: str, tmp_path: Path) -> None:
    """Fault: a traceback of statistics, once everything is set up."""
    for index, name in enumerate(["one/a", "two/a", "two/b"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 2), index).save(tmp_path / f"{name}.png")
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message + "\n")
