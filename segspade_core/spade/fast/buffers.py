"""What the fast generator works in and with: memory that is used again, and a lock on it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
