"""How often a training saves at the ends of its epochs: never so often that it is kept from training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SHARE = 0.05  # of the time may go into saving


class SavingPace:
    """Tells whether another save is due, from how long the last one took.

    A state of 400 MB takes seconds to save, an epoch of a small dataset on a GPU hardly one. What is lost to
    a kill is then more than an epoch, but never more than that and twenty times what a save takes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = -float("inf")

    def is_due(self) -> bool:
        """Whether the time since the last save is long beside it."""
        return self._clock() >= self._due

    @contextmanager
    def saving(self) -> Iterator[None]:
        """To be entered for a save."""
        began = self._clock()
        yield
        ended = self._clock()
        self._due = ended + (ended - began) * (1 - _SHARE) / _SHARE
