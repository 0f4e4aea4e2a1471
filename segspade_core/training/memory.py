"""What is said when memory runs out: what there was no room for, and what to lower."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from segspade_core.errors import OutOfMemory

# of allocators that raise a RuntimeError like any other: the CPU's, Apple's, and those of CUDA's libraries
_WORDS = (
    "can't allocate memory",
    "backend out of memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the device or of the machine, ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


@contextmanager
def telling_out_of_memory(message: Callable[[], str]) -> Iterator[None]:
    """Tell that memory ran out as OutOfMemory with `message`; every other error passes.

    Raises:
        OutOfMemory: memory ran out inside.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(message()) from error
