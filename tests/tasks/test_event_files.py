"""What TensorBoard shows of a training, read back: length, check and event, again and again."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pytest
from handmade import commit, photographs

from segspade_core.config import SegmenterConfig
from segspade_core.training.events import EpochEvent, StepEvent
from tasks import training
from tasks.event_files import EventFiles
from tasks.plan import Plan


@pytest.fixture
def plan(workspace: Path) -> Plan:
    dataset = commit(workspace, "dataset", splits={"train": {"image": photographs(1, 2)}})
    return training.plan_segmenter(workspace, dataset, SegmenterConfig(weights="none", batch=3))


def read(folder: Path) -> list[list[Any]]:
    """Events of each file, in order."""
    from tensorboardX.proto.event_pb2 import Event

    files = []
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime_ns):
        content, at, events = path.read_bytes(), 0, []
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            events.append(Event.FromString(content[at + 12 : at + 12 + length]))
            at += 12 + length + 4
        files.append(events)
    return files


def scalars(events: list[Any]) -> list[tuple[str, int, float]]:
    found = [(value.tag, event.step, value) for event in events for value in event.summary.value]
    return [(tag, step, round(value.simple_value, 4)) for tag, step, value in found if "/text" not in tag]


def test_steps_count_on_over_epochs_and_values_stand_at_the_step_they_were_told(plan: Plan) -> None:
    """Fault: every epoch starts again at step 1, so that curves run back and forth."""
    with EventFiles(plan) as files:
        files.add(StepEvent(1, 2, 2, 2, {"loss": 3.5}))
        files.add(EpochEvent(1, 2, {"val_miou": 0.25, "lr": 1e-3}))
        files.add(StepEvent(2, 2, 1, 2, {"loss": math.nan}))
    (events,) = read(plan.workspace / "tensorboard" / "segmenter" / plan.key)
    found = scalars(events)
    assert [row for row in found if row[0].startswith(("step", "epoch"))][:3] == [
        ("step/loss", 2, 3.5),
        ("epoch/val_miou", 2, 0.25),
        ("epoch/lr", 2, 0.001),
    ]
    assert found[-1][:2] == ("step/loss", 3)
    texts = [value for event in events for value in event.summary.value if value.tag.startswith("config")]
    assert b"encoder: resnet34" in texts[0].tensor.string_val[0]


def test_what_is_trained_again_after_a_kill_is_struck_out(plan: Plan) -> None:
    """Fault: steps after the last checkpoint are shown twice, as two values of one curve."""
    for first in (1, 2):  # killed after step 3, with a checkpoint at step 1
        files = EventFiles(plan)
        for step in range(first, 4):
            files.add(StepEvent(1, 1, step, 9, {"loss": 1.0 / step}))
        files.__exit__(None, None, None)
    _, again = read(plan.workspace / "tensorboard" / "segmenter" / plan.key)
    starts = [event.step for event in again if event.HasField("session_log")]
    assert starts == [2]
    assert [step for tag, step, _ in scalars(again) if tag == "step/loss"] == [2, 3]


def test_nothing_is_written_of_a_training_that_tells_nothing(plan: Plan) -> None:
    """Fault: every other process of a group leaves an empty file, which TensorBoard lists."""
    with EventFiles(plan):
        pass
    assert not (plan.workspace / "tensorboard").exists()
