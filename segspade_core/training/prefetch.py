"""Batches made in threads while the step before them is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AHEAD = 2  # batches made in advance, for each thread beyond the first one more

Batch = TypeVar("Batch")


def prefetched(
    make: Callable[[int, int], Batch], epochs: int, steps: int, start: int, workers: int = 1
) -> Generator[tuple[int, int, Batch], None, None]:
    """(epoch, step, make(epoch, step)) from position `start` to the end of training, in order, all from 0.

    What is yielded depends on positions alone, and not on how many threads there are or which is the fastest.

    Args:
        make: a batch from its position alone; begun in order, by as many threads at once as are `workers`.
        steps: steps an epoch.
        start: steps taken before.
        workers: threads, at least 1.
    """
    waiting: deque[tuple[int, int, Future[Batch]]] = deque()
    with ThreadPoolExecutor(workers, "batches") as threads:
        try:
            for at in range(start, epochs * steps):
                epoch, step = divmod(at, steps)
                waiting.append((epoch, step, threads.submit(make, epoch, step)))
                if len(waiting) > _AHEAD + workers - 1:
                    first_epoch, first_step, first = waiting.popleft()
                    yield first_epoch, first_step, first.result()
            while waiting:
                first_epoch, first_step, first = waiting.popleft()
                yield first_epoch, first_step, first.result()
        finally:
            for _, _, future in waiting:
                future.cancel()
