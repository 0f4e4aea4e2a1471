"""Compiled kernels on a few threads: their own never, as `segspade_core.compiled` says."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import torch
from torch import Tensor


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
