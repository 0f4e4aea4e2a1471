"""How the packages here find their compiled kernels, which are in files named `kernels`."""

from __future__ import annotations

import importlib
from types import ModuleType


def load_kernels(package: str) -> ModuleType | None:
    """The module `kernels` of a package; None where Numba is not installed, or not for this Python.

    Called when a kernel is needed first, since Numba is slow to import.
    """
    try:
        return importlib.import_module(f"{package}.kernels")
    except ImportError:
        return None
