"""What was taken for what, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ConfusedPair:
    """Pixels of one class that were taken for another."""

    true: str
    predicted: str
    share: float  # of the true class's pixels, in [0, 1]
    pixels: int


def confused_pairs(
    confusion: npt.NDArray[Any], names: Sequence[str], limit: int | None = None
) -> list[ConfusedPair]:
    """List what was taken for what, the largest share of a true class first.

    Args:
        confusion: (C, C) or (C, C + 1) counts; the column of no class is left out of the list but counts in
            the share's denominator.
        names: the C names.
        limit: list at most so many.
    """
    size = len(confusion)
    wrong = confusion[:, :size].copy()
    np.fill_diagonal(wrong, 0)
    totals = confusion.sum(axis=1)
    pairs = [
        ConfusedPair(
            names[row], names[column], float(wrong[row, column] / totals[row]), int(wrong[row, column])
        )
        for row, column in np.argwhere(wrong).tolist()
    ]
    # names last, so that ties have an order of their own
    pairs.sort(key=lambda pair: (-pair.share, -pair.pixels, pair.true, pair.predicted))
    return pairs[:limit]
