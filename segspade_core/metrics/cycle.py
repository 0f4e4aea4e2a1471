"""Agreement of the first label map of a cycle with the second, which was read off the painted photograph."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.metrics import boundaries
from segspade_core.metrics.confusion import confusion_of_ids, mean_iou, pixel_accuracy


def agreement(
    first: npt.NDArray[Any], second: npt.NDArray[Any], boundary_tolerance: float = 0.0075
) -> dict[str, float]:
    """Compare two label maps of one scene; the first counts as true.

    Args:
        first: (H, W) uint8 label ids.
        second: (H, W) uint8 label ids.
        boundary_tolerance: as a fraction of the diagonal.

    Returns:
        accuracy, miou and boundary_f1 in [0, 1], boundary_length_ratio from 0 up; NaN where there is nothing
        to compare.
    """
    confusion = confusion_of_ids(first, second)
    return {
        "accuracy": pixel_accuracy(confusion),
        "miou": mean_iou(confusion),
        **edge_agreement(first, second, boundary_tolerance),
    }


def edge_agreement(
    first: npt.NDArray[Any], second: npt.NDArray[Any], boundary_tolerance: float
) -> dict[str, float]:
    """The part of `agreement` that looks at boundaries: boundary_f1 and boundary_length_ratio."""
    height, width = first.shape
    tolerance_px = boundaries.tolerance_px((height, width), boundary_tolerance)
    return {
        "boundary_f1": boundaries.boundary_f1(first, second, tolerance_px),
        "boundary_length_ratio": boundaries.boundary_length_ratio(first, second),
    }


def aggregate(samples: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each measure over the samples that have it; NaN where none has."""
    result = {}
    for name in dict.fromkeys(name for sample in samples for name in sample):
        values = np.array([sample[name] for sample in samples if name in sample])
        known = values[~np.isnan(values)]
        result[name] = float(known.mean()) if known.size else float("nan")
    return result
