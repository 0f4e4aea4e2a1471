"""Where labels change: how well two maps agree there, and how long the change is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt


def boundary_map(label_ids: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Mark both sides of every change between 4-neighbours.

    Args:
        label_ids: (H, W) of any integer type.

    Returns:
        (H, W) bool; the rim of the image is no boundary.
    """
    found = np.zeros(label_ids.shape, bool)
    down = label_ids[1:] != label_ids[:-1]
    across = label_ids[:, 1:] != label_ids[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= across
    found[:, :-1] |= across
    return found


def boundary_length(label_ids: npt.NDArray[Any]) -> int:
    """Length in pixel sides of all boundaries of an (H, W) map: neighbours with different labels."""
    down = label_ids[1:] != label_ids[:-1]
    across = label_ids[:, 1:] != label_ids[:, :-1]
    return int(np.count_nonzero(down) + np.count_nonzero(across))


def boundary_length_ratio(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """How soft the edges of the second (H, W) map are: its boundary length over the first's.

    Below 1 its regions are smoother or fewer, above 1 more ragged or more. NaN where the first has none.
    """
    length = boundary_length(first)
    return boundary_length(second) / length if length else math.nan


def tolerance_px(size: tuple[int, int], fraction: float) -> float:
    """Distance in pixels that is `fraction` of the diagonal of an image of (height, width)."""
    return fraction * math.hypot(*size)


def boundary_f1(target: npt.NDArray[Any], predicted: npt.NDArray[Any], tolerance_px: float) -> float:
    """F1 of the boundaries of two (H, W) maps: a pixel is matched by one of the other within the tolerance.

    We match boundaries of all classes at once, where the source scores each class: it asks where the map
    changes, and leaves what changes into what to the IoU.

    Args:
        target: (H, W) integer labels.
        predicted: (H, W) integer labels.
        tolerance_px: Euclidean distance in pixels, inclusive; 0 asks for the very same pixels.

    Returns:
        In [0, 1]: 2 P R / (P + R); 1 where neither map has a boundary, 0 where only one has.

    Source: Csurka et al., "What is a good evaluation measure for semantic
    segmentation?", BMVC 2013, the contour-based score.
    """
    if target.shape != predicted.shape:
        raise ValueError(
            f"target is {target.shape}, predicted is {predicted.shape}: they must be the same size"
        )
    true, found = boundary_map(target), boundary_map(predicted)
    if not true.any() or not found.any():
        return float(true.any() == found.any())
    recall = _share_within(true, found, tolerance_px)
    precision = _share_within(found, true, tolerance_px)
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _share_within(these: npt.NDArray[np.bool_], those: npt.NDArray[np.bool_], tolerance_px: float) -> float:
    distance = distance_transform_edt(~those)
    return float(np.mean(distance[these] <= tolerance_px))
