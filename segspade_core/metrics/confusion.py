"""Confusion matrices and what is read from them. Rows are true classes, columns predicted ones.

Matrices of disjoint sets of pixels add, so a split is scored shard by shard and summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.labels import IGNORE_ID, NUM_IDS, NUM_TRAIN_IDS, VOID_IDS, ids_to_train_ids

Counts = npt.NDArray[np.int64]
Fractions = npt.NDArray[np.float64]


def confusion_matrix(
    target: npt.NDArray[Any],
    predicted: npt.NDArray[Any],
    num_classes: int = NUM_IDS,
    void: Sequence[int] = VOID_IDS,
    count_others: bool = False,
) -> Counts:
    """Count pixels of each (true, predicted) pair of classes; pixels whose target is void do not count.

    A prediction of void at a pixel whose target is a class is a mistake like any other: it is counted.

    Args:
        target: (…) integer true classes 0..num_classes-1; void or 255 where nothing is known.
        predicted: integer predicted classes, of the same shape.
        num_classes: C, at most 255.
        void: classes that count as unknown in the target, beside 255.
        count_others: add a last column for predictions of void and of anything else that is no class. Such a
            pixel must stay among the true pixels of its class, or the score rises with every refusal to
            answer; and void must not become a class of IoU 0.

    Returns:
        (C, C) int64 counts, or (C, C + 1) with `count_others`: row = true class, column = predicted class.

    Raises:
        ValueError: shapes differ, or an id is neither a class nor void; the message names it.
    """
    if target.shape != predicted.shape:
        raise ValueError(
            f"target is {target.shape}, predicted is {predicted.shape}: they must be the same size"
        )
    # one 16-bit key a pixel: counting 65,536 bins once is quicker than masking first
    key = (_as_bytes(target, "target").astype(np.uint16) << 8) | _as_bytes(predicted, "predicted")
    pairs = np.bincount(key.ravel(), minlength=1 << 16).reshape(256, 256).astype(np.int64, copy=False)

    classes = np.arange(256) < num_classes
    ignored = np.isin(np.arange(256), [*void, IGNORE_ID])
    pairs[ignored] = 0
    _refuse(pairs.sum(axis=1), classes, "target", num_classes)
    counts = pairs[:num_classes, :num_classes]
    if count_others:
        others = np.where(classes & ~ignored, 0, pairs[:num_classes]).sum(axis=1)
        return np.column_stack([np.where(ignored[:num_classes], 0, counts), others])
    _refuse(pairs.sum(axis=0), classes, "predicted", num_classes)
    return counts.copy()


def _as_bytes(ids: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    if ids.dtype == np.uint8:
        return ids
    if not np.issubdtype(ids.dtype, np.integer) or (ids.size and (ids.min() < 0 or ids.max() > 255)):
        raise ValueError(f"{name} is {ids.dtype}; label maps hold whole numbers from 0 to 255")
    return ids.astype(np.uint8)


def _refuse(pixels: npt.NDArray[Any], classes: npt.NDArray[Any], name: str, num_classes: int) -> None:
    strays = np.flatnonzero((pixels > 0) & ~classes)
    if strays.size:
        raise ValueError(
            f"{name} holds id {strays[0]} ({pixels[strays[0]]} pixels), which is not one of the "
            f"{num_classes} classes; map it to {IGNORE_ID} if it means void"
        )


def confusion_of_train_ids(target_ids: npt.NDArray[Any], predicted_ids: npt.NDArray[Any]) -> Counts:
    """The same over the 19 classes of the official score, from label ids; other targets do not count.

    Args:
        target_ids: (…) uint8 label ids.
        predicted_ids: uint8 label ids of the same shape; ids outside the 19 classes count as none.

    Returns:
        (19, 20) int64.
    """
    return confusion_matrix(
        ids_to_train_ids(target_ids),
        ids_to_train_ids(predicted_ids),
        NUM_TRAIN_IDS,
        void=(),
        count_others=True,
    )


def project_to_train_ids(confusion: npt.NDArray[Any]) -> Counts:
    """The official (19, 20) matrix that follows from one over label ids: what was counted is only regrouped.

    Args:
        confusion: (34, 35) counts over label ids with the column of others.
    """
    columns = np.append(ids_to_train_ids(np.arange(NUM_IDS, dtype=np.uint8)), IGNORE_ID)
    result = np.zeros((NUM_TRAIN_IDS, NUM_TRAIN_IDS + 1), np.int64)
    for row, column in np.argwhere(confusion).tolist():
        if columns[row] != IGNORE_ID:
            result[columns[row], min(int(columns[column]), NUM_TRAIN_IDS)] += confusion[row, column]
    return result


def iou_per_class(confusion: npt.NDArray[Any]) -> Fractions:
    """Intersection over union, TP / (TP + FP + FN), as a fraction in [0, 1].

    Args:
        confusion: (C, C) or (C, C + 1) counts from `confusion_matrix`.

    Returns:
        (C,) float64; NaN for a class found in neither target nor prediction, so that the mean over the
        others is the mIoU of the classes that were there.

    Source: Everingham et al., "The PASCAL VOC Challenge", IJCV 2010, section 4.3.
    """
    hits = _hits(confusion)
    union = confusion.sum(axis=1) + confusion[:, : len(confusion)].sum(axis=0) - hits
    return _ratio(hits, union)


def mean_iou(confusion: npt.NDArray[Any]) -> float:
    """Mean IoU over the classes found in target or prediction, in [0, 1]; NaN where there is none at all."""
    iou = iou_per_class(confusion)
    found = iou[~np.isnan(iou)]
    return float(found.mean()) if found.size else float("nan")


def pixel_accuracy(confusion: npt.NDArray[Any]) -> float:
    """Share of counted pixels whose class is right, in [0, 1]; NaN where no pixel counts."""
    total = int(confusion.sum())
    return float(_hits(confusion).sum() / total) if total else float("nan")


def class_accuracy(confusion: npt.NDArray[Any]) -> Fractions:
    """(C,) share of each class's true pixels that were found (recall); NaN for a class without any."""
    return _ratio(_hits(confusion), confusion.sum(axis=1))


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


def _hits(confusion: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.diagonal(confusion)[: len(confusion)]


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Fractions:
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result
