"""Large libraries are imported faster while nobody looks for garbage: they make none."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage() -> Iterator[None]:
    """Collect no garbage within; what was made there is looked at again only when the process ends."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        # else some libraries take what is frozen for leaked, and say so at length
        atexit.register(gc.unfreeze)
        if was_on:
            gc.enable()
