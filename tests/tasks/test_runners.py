"""Shard tasks can be sent to the workers of a Dask cluster."""

from __future__ import annotations

import operator
from typing import Any

import cloudpickle
import pytest

from segspade_core.config import RuntimeConfig
from tasks import deciding, describing, drawing, ingesting, scoring, segmenting, synthesizing
from tasks.runners import sum_parts

PART_TASKS = [
    drawing.draw_part,
    ingesting.check_part,
    ingesting.ingest_part,
    segmenting.segment_part,
    synthesizing.synthesize_part,
    scoring.score_part,
    describing.describe_part,
    deciding.count_part,
]


@pytest.mark.parametrize("task", PART_TASKS, ids=lambda task: task.name)
def test_a_part_task_can_be_sent_to_another_process(task: Any) -> None:
    """Fault: a task uses a global that cannot be pickled, such as a lock, and runs on threads only."""
    again = cloudpickle.loads(cloudpickle.dumps(task))
    assert again.name == task.name
    assert again.fn.__code__.co_code == task.fn.__code__.co_code


def test_a_sum_is_that_of_all_parts_in_order() -> None:
    """Fault: a part left out or summed twice at the edges of the tree; an order that depends on timing."""
    for count in (1, 7, 8, 9, 64, 65, 200):
        total = sum_parts(RuntimeConfig(workers=3), list(range(count)), listed, operator.add)
        assert total == list(range(count))


def listed(item: int) -> list[int]:
    return [item]


@pytest.mark.parametrize("address", ["nonsense", "tcp://host", "tcp://:8786", "host:port", "tcp://a b:8786"])
def test_an_address_that_is_none_is_refused_in_the_config(address: str) -> None:
    """Fault: a traceback of Dask's, after hours of training."""
    with pytest.raises(ValueError, match="dask_address"):
        RuntimeConfig(runner="dask", dask_address=address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "tls://dask.example.org:8786", "[::1]:8786"])
def test_addresses_of_schedulers_are_taken(address: str) -> None:
    assert RuntimeConfig(runner="dask", dask_address=address).dask_address == address
