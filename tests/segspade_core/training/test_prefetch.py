"""Batches made in advance come in order, each once, however many threads make them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segspade_core.training.prefetch import prefetched


@given(st.integers(0, 3), st.integers(1, 4), st.integers(0, 12), st.integers(1, 5))
def test_every_position_comes_once_and_in_order(epochs: int, steps: int, start: int, workers: int) -> None:
    """Fault: a step skipped or taken twice at the end of an epoch or after a stop."""
    found = list(prefetched(lambda epoch, step: (epoch, step), epochs, steps, start, workers))
    assert found == [(*divmod(at, steps), divmod(at, steps)) for at in range(start, epochs * steps)]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_slowest_is_waited_for(workers: int) -> None:
    """Fault: batches in the order in which threads end."""
    made: Counter[int] = Counter()

    def make(epoch: int, step: int) -> int:
        time.sleep(0.02 if step % 3 == 0 else 0)
        made[step] += 1
        return step

    found = [batch for _, _, batch in prefetched(make, 1, 20, 0, workers)]
    assert found == list(range(20))
    assert set(made.values()) == {1}


def test_workers_work_at_the_same_time() -> None:
    """Fault: threads that are asked for and never used. Both batches wait for each other."""
    both = threading.Barrier(2)
    assert len(list(prefetched(lambda *_: both.wait(timeout=30), 1, 4, 0, workers=2))) == 4


def test_not_more_is_made_in_advance_than_there_are_threads_for() -> None:
    """Fault: a whole epoch in memory."""
    made: list[int] = []
    with closing(prefetched(lambda _, step: made.append(step), 1, 100, 0, workers=3)) as batches:
        next(batches)
    assert len(made) <= 1 + 2 + 3


def test_a_fault_comes_where_its_batch_would_have() -> None:
    """Fault: an error of a batch to come ends the steps before it, which are lost."""

    def make(_: int, step: int) -> int:
        if step == 3:
            raise ValueError("damaged")
        return step

    found = []
    with pytest.raises(ValueError, match="damaged"):  # noqa: PT012
        for _, step, _ in prefetched(make, 1, 9, 0, workers=4):
            found.append(step)
    assert found == [0, 1, 2]
