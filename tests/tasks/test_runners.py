"""Shard tasks can be sent to the workers of a Dask cluster."""

from __future__ import annotations

from typing import Any

import cloudpickle
import pytest

from tasks import drawing, ingesting, scoring, segmenting, synthesizing

PART_TASKS = [
    drawing.draw_part,
    ingesting.check_part,
    ingesting.ingest_part,
    segmenting.segment_part,
    synthesizing.synthesize_part,
    scoring.score_part,
]


@pytest.mark.parametrize("task", PART_TASKS, ids=lambda task: task.name)
def test_a_part_task_can_be_sent_to_another_process(task: Any) -> None:
    """Fault: a task uses a global that cannot be pickled, such as a lock, and runs on threads only."""
    again = cloudpickle.loads(cloudpickle.dumps(task))
    assert again.name == task.name
    assert again.fn.__code__.co_code == task.fn.__code__.co_code
