"""Count pairs of ids, pixel by pixel: the one step of an evaluation that looks at every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.errors import InputError
from segspade_core.kernels import load_kernels

Counts = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
_AT_ONCE = 2**30  # pixels, so that counts of 32 bits do not overflow


def check_maps(target: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> None:
    """Raise ValueError unless both are arrays of the same shape, and InputError unless they hold integers."""
    for name, ids in (("target", target), ("prediction", prediction)):
        if not isinstance(ids, np.ndarray):
            raise ValueError(f"{name} is a {type(ids).__name__}: it must be a NumPy array")
    if target.shape != prediction.shape:
        raise ValueError(
            f"target is {target.shape}, prediction is {prediction.shape}: they must be the same size"
        )
    for name, ids in (("target", target), ("prediction", prediction)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise InputError(f"{name} is {ids.dtype}; label maps hold whole numbers: convert it to class ids")


def as_codes(ids: npt.NDArray[Any]) -> Codes:
    """(…) integers → (N,) uint8, contiguous: 255 for what has no room in a byte."""
    if ids.dtype == np.uint8:
        return np.ascontiguousarray(ids).ravel()
    codes = ids.astype(np.uint8)
    codes[codes != ids] = 255
    return codes.ravel()


def count_pairs(target: Codes, prediction: Codes, num_classes: int) -> Counts:
    """(N,) codes → (256, C + 1) int64: pixels of each target and prediction, the last column for C and above.

    Compiled where Numba is; else by NumPy, at several times the cost (benchmarks/metrics.py).
    """
    kernels = load_kernels("segspade_core.metrics")
    if kernels is None:
        return count_pairs_by_numpy(target, prediction, num_classes)
    total = np.zeros(256 * (num_classes + 1), np.int64)
    for start in range(0, target.size, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        kernels.count_pairs(target[part], prediction[part], num_classes, total)
    return total.reshape(256, num_classes + 1)


def count_pairs_by_numpy(target: Codes, prediction: Codes, num_classes: int) -> Counts:
    """The same as `count_pairs`, without Numba."""
    # one 16-bit key a pixel: counting 65,536 bins once is quicker than masking first
    key = (target.astype(np.uint16) << 8) | prediction
    pairs = np.bincount(key, minlength=1 << 16).reshape(256, 256)
    return np.column_stack([pairs[:, :num_classes], pairs[:, num_classes:].sum(axis=1)]).astype(np.int64)
