"""Ratios of counts, where what was never there has none: NaN, and no part in any mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Fractions = npt.NDArray[np.float64]


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Fractions:
    """part / whole of arrays of one shape; NaN where the whole is 0."""
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def mean_of_known(values: npt.NDArray[Any]) -> float:
    """Mean of the numbers of an array that are not NaN; NaN where all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
