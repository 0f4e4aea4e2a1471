"""Batches made in a thread while the step before them is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AHEAD = 2  # batches made in advance

Batch = TypeVar("Batch")


def prefetched(
    make: Callable[[int, int], Batch], epochs: int, steps: int, start: int
) -> Generator[tuple[int, int, Batch], None, None]:
    """(epoch, step, make(epoch, step)) from position `start` to the end of training, all from 0.

    Args:
        make: a batch from its position alone; called in one thread, in order.
        steps: steps an epoch.
        start: steps taken before.
    """
    waiting: deque[tuple[int, int, Future[Batch]]] = deque()
    with ThreadPoolExecutor(1, "batches") as thread:
        try:
            for at in range(start, epochs * steps):
                epoch, step = divmod(at, steps)
                waiting.append((epoch, step, thread.submit(make, epoch, step)))
                if len(waiting) > _AHEAD:
                    first_epoch, first_step, first = waiting.popleft()
                    yield first_epoch, first_step, first.result()
            while waiting:
                first_epoch, first_step, first = waiting.popleft()
                yield first_epoch, first_step, first.result()
        finally:
            for _, _, future in waiting:
                future.cancel()
