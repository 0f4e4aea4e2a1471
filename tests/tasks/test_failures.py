"""What a training process found wrong reaches the user as the same kind of error."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from storage.errors import DiskFull
from tasks import training_process
from tasks.failures import failure_of
from tasks.plan import Plan


def test_a_full_disk_under_a_training_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault: 'the training process ended with status 1', and the end of a traceback."""
    plan = Plan(workspace=tmp_path, stage="train", kind="segmenter", revision=1, config={}, inputs={})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "events.1")

    monkeypatch.setattr(training_process, "_train", full)
    monkeypatch.setattr(training_process, "_die_with_parent", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(plan.model_dump_json()))
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert training_process.main() == 2
    told = json.loads(capsys.readouterr().out)
    failure = failure_of(told["kind"], told["message"])
    assert isinstance(failure, DiskFull)
    assert str(failure).startswith("events.1: cannot be written, the disk is full (")
