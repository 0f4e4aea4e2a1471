"""How Numba compiles the kernels of this package: where they run, without threads of its own.

Numba's parallel loops are not used: where neither TBB nor OpenMP is installed its threads ("workqueue") end
the process as soon as two threads call kernels at once. The GIL is released instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """Compile at the first call, and keep the machine code beside its file or in the user's cache folder."""
    # "contract" alone: a product and a sum may become one instruction, but no sum is put in another order
    try:
        return njit(cache=True, nogil=True, fastmath={"contract"})(function)
    except RuntimeError:  # neither folder can be written to
        return njit(nogil=True, fastmath={"contract"})(function)
