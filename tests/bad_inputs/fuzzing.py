"""How long to look for more: a few seconds, unless SEGSPADE_FUZZ says how many examples."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("SEGSPADE_FUZZ", "0"))
# of a whole test: a machine with other work is slow, and a hang is for ever
HANG_S = 120 + 3 * EXAMPLES
# of all that one example may ask Python for; the sources are of 50 kB
MEMORY_BYTES = 400 << 20


def looking_for_more(few: int) -> Callable[[Any], Any]:
    """So many examples, the same ones every time; or those that the environment asks for, drawn anew."""
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def check_words(message: str) -> None:
    """What is told is a few lines of letters."""
    lines = message.split("\n")
    assert all(line and line.isprintable() for line in lines), message
    assert max(map(len, lines)) < 2000, message


@contextmanager
def bounded_memory() -> Iterator[None]:
    """No more than MEMORY_BYTES at any moment."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_BYTES
