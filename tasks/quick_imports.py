"""Large libraries are imported a fifth faster while nobody looks for garbage: they make none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage() -> Iterator[None]:
    """Collect no garbage within.

    What was made there is not frozen either: some libraries then take it for leaked when the process ends.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
