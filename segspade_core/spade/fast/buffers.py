"""What the fast generator works in and with: memory that is used again, a lock on it, and a few threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segspade_core.errors import InputError


class Buffers:
    """Named memory that grows to the largest request: fresh memory costs a page fault for every 4 KiB."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._memory: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """A float32 tensor of unknown content; what was taken by this name before is overwritten."""
        size = math.prod(shape)
        memory = self._memory.get(name)
        if memory is None or len(memory) < size:
            self._memory.pop(name, None)  # freed first
            memory = self._memory[name] = torch.empty(size, device=self._device)
        return memory[:size].view(shape)


class Turn:
    """A lock that a deep copy or a pickle has anew, as what it guards is copied with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()

    @contextmanager
    def taken(self, refusal: str) -> Iterator[None]:
        """Hold it, without waiting; InputError of `refusal` where somebody holds it already."""
        if not self._lock.acquire(blocking=False):
            raise InputError(refusal)
        try:
            yield
        finally:
            self._lock.release()


class Team:
    """Runs kernels over ranges, on as many threads as torch uses."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._threads = 1

    def run(self, kernel: Callable[..., None], count: int, *arguments: Any) -> None:
        """kernel(first, last, *arguments) over all of 0..count; tensors are handed over as arrays."""
        arguments = tuple(a.numpy() if isinstance(a, Tensor) else a for a in arguments)
        threads = min(torch.get_num_threads(), count)
        if threads <= 1:
            kernel(0, count, *arguments)
            return
        if self._pool is None or self._threads < threads:
            self._pool, self._threads = ThreadPoolExecutor(threads - 1), threads
        bounds = np.linspace(0, count, threads + 1).astype(int).tolist()
        others = [
            self._pool.submit(kernel, bounds[part], bounds[part + 1], *arguments)
            for part in range(1, threads)
        ]
        try:
            kernel(0, bounds[1], *arguments)
        finally:
            wait(others)  # also when broken off: nobody may write to memory that the next call uses
        for other in others:
            other.result()
