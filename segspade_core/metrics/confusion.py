"""Confusion matrices and what is read from them. Rows are true classes, columns predicted ones.

Matrices of disjoint sets of pixels add, so a split is scored shard by shard and summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.errors import InputError
from segspade_core.labels import IGNORE_ID, NUM_IDS, NUM_TRAIN_IDS, VOID_IDS, ids_to_train_ids
from segspade_core.metrics.counting import Counts, as_codes, check_maps, count_pairs
from segspade_core.metrics.ratios import Fractions, mean_of_known, ratio


def confusion_matrix(
    target: npt.NDArray[Any],
    prediction: npt.NDArray[Any],
    num_classes: int,
    ignore_id: int = IGNORE_ID,
    *,
    void: Sequence[int] = (),
    count_others: bool = False,
) -> Counts:
    """Count pixels of each pair of a true and a predicted class; pixels whose target is unknown do not count.

    A prediction of void at a pixel whose target is a class is a mistake like any other: it is counted.

    Args:
        target: (…) true classes 0..num_classes-1, `ignore_id` or void, of any integer type.
        prediction: predicted classes, integers of the same shape.
        num_classes: C, 1 to 255.
        ignore_id: stands for "unknown" in the target, and is no class.
        void: classes that say "unknown" too: their rows stay 0.
        count_others: add a last column for predictions of void and of anything else that is no class. Such a
            pixel must stay among the true pixels of its class, or the score rises with every refusal to
            answer; and void must not become a class of IoU 0.

    Returns:
        (C, C) int64 counts, or (C, C + 1) with `count_others`: row = true class, column = predicted class.

    Raises:
        InputError: a map does not hold integers; the target holds an id that is neither a class nor unknown;
            without `count_others`, so does the prediction, where the target is known. The message names it.
        ValueError: shapes differ, or C is out of range.
    """
    if not 1 <= num_classes <= 255:
        raise ValueError(f"num_classes is {num_classes}: it must be 1 to 255")
    check_maps(target, prediction)
    unknown = [*void, ignore_id]
    pairs = count_pairs(as_codes(target), as_codes(prediction), num_classes)
    ignored = np.zeros(256, bool)
    # an `ignore_id` that has no room in a byte, as -1 has not, has the code 255
    ignored[[id if id in range(256) else 255 for id in unknown]] = True
    pairs[ignored] = 0
    if pairs[num_classes:].any() or target.dtype != np.uint8:
        _refuse_strays(target, "target", num_classes, unknown, f"map it to {ignore_id} if it means void")
    counts, others = pairs[:num_classes, :num_classes], pairs[:num_classes, num_classes]
    if count_others:
        others = others + counts[:, ignored[:num_classes]].sum(axis=1)
        return np.column_stack([np.where(ignored[:num_classes], 0, counts), others])
    if others.any():
        known = ~np.isin(target, unknown)
        remedy = "predict a class for every pixel, or count with `count_others` what is none"
        _refuse_strays(prediction[known], "prediction", num_classes, [], remedy)
    return counts.copy()


def _refuse_strays(
    ids: npt.NDArray[Any], name: str, num_classes: int, unknown: Sequence[int], remedy: str
) -> None:
    outside = ids[(ids < 0) | (ids >= num_classes)]
    strays, pixels = np.unique(outside[~np.isin(outside, unknown)], return_counts=True)
    if strays.size:
        raise InputError(
            f"{name} holds id {strays[0]} ({pixels[0]} pixels), which is not one of the {num_classes} "
            f"classes; {remedy}"
        )


def confusion_of_ids(target_ids: npt.NDArray[Any], predicted_ids: npt.NDArray[Any]) -> Counts:
    """Counts over label ids, without the void ones; predictions of void and of 255 are counted as none.

    Args:
        target_ids: (…) uint8 label ids, or 255.
        predicted_ids: uint8 label ids of the same shape.

    Returns:
        (34, 35) int64; what is said of the official classes follows from it (`project_to_train_ids`).
    """
    return confusion_matrix(target_ids, predicted_ids, NUM_IDS, void=VOID_IDS, count_others=True)


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
        count_others=True,
    )


def project_to_train_ids(confusion: npt.NDArray[Any]) -> Counts:
    """The official (19, 20) matrix that follows from one over label ids: what was counted is only regrouped.

    Args:
        confusion: (34, 35) counts over label ids with the column of others.
    """
    return group_classes(confusion, ids_to_train_ids(np.arange(NUM_IDS, dtype=np.uint8)), NUM_TRAIN_IDS)


def group_classes(confusion: npt.NDArray[Any], group: npt.NDArray[Any], num_groups: int) -> Counts:
    """The matrix of groups of classes: a class of the same group counts as right.

    Args:
        confusion: (C, C) or (C, C + 1) counts.
        group: (C,) integers: 0..K-1, or anything else for a class that is in no group.
        num_groups: K.

    Returns:
        (K, K + 1) int64; the last column has what was predicted as no group. Pixels that are truly in none
        do not count.
    """
    columns = np.full(confusion.shape[1], num_groups)
    columns[: len(group)] = np.where((group >= 0) & (group < num_groups), group, num_groups)
    member = (columns[:, None] == np.arange(num_groups + 1)).astype(np.int64)
    return member[: len(confusion), :num_groups].T @ confusion.astype(np.int64) @ member


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
    return ratio(hits, union)


def mean_iou(confusion: npt.NDArray[Any]) -> float:
    """Mean IoU over the classes found in target or prediction, in [0, 1]; NaN where there is none at all."""
    return mean_of_known(iou_per_class(confusion))


def pixel_accuracy(confusion: npt.NDArray[Any]) -> float:
    """Share of counted pixels whose class is right, in [0, 1]; NaN where no pixel counts."""
    total = int(confusion.sum())
    return float(_hits(confusion).sum() / total) if total else float("nan")


def class_accuracy(confusion: npt.NDArray[Any]) -> Fractions:
    """(C,) share of each class's true pixels that were found (recall); NaN for a class without any."""
    return ratio(_hits(confusion), confusion.sum(axis=1))


def _hits(confusion: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.diagonal(confusion)[: len(confusion)]
