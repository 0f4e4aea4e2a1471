"""The tables of the scores: a row a class, a category, a pair of classes or a sample."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from segspade_core.labels import IGNORE_ID, NAMES
from segspade_core.metrics.class_sets import CLASS_SETS, ClassSet, scored_classes
from segspade_core.metrics.confusion import project_to_train_ids
from segspade_core.metrics.counting import Counts
from segspade_core.metrics.instance_iou import (
    INSTANCE_CATEGORIES,
    INSTANCE_CLASSES,
    iiou_per_category,
    iiou_per_class,
)
from segspade_core.metrics.map_counts import MapCounts
from segspade_core.metrics.mistakes import ConfusedPair, confused_pairs
from segspade_core.metrics.segmentation import SegmentationScores
from segspade_core.metrics.tally import SampleScore

NO_CLASS = "(void)"
WHERE = ["split", "comparison", "class_set"]
CLASS_COLUMNS = [
    *WHERE, "class_id", "name", "iou", "accuracy", "boundary_f1", "iiou", "instances", "true_pixels",
    "predicted_pixels", "absent",
]  # fmt: skip
CATEGORY_COLUMNS = [*WHERE, "name", "iou", "iiou", "absent"]
PAIR_COLUMNS = [*WHERE, "true_id", "true", "predicted_id", "predicted", "pixels"]


def matrix_in(counts: MapCounts, class_set: ClassSet) -> Counts:
    """(C, C + 1) counts over the classes of a set."""
    return counts.confusion if class_set == "ids" else project_to_train_ids(counts.confusion)


def scores_in(counts: MapCounts, class_set: ClassSet) -> SegmentationScores:
    """What the confusion matrix says over the classes of a set."""
    if class_set == "ids":
        return SegmentationScores.of_ids(counts.confusion)
    return SegmentationScores.of_train_ids(counts.confusion)


def class_rows(counts: MapCounts, class_set: ClassSet) -> list[dict[str, Any]]:
    """A row a class that can be scored; NaN where there was nothing to score. Objects count in both sets."""
    matrix, scores = matrix_in(counts, class_set), scores_in(counts, class_set)
    boundary_f1 = counts.boundaries[class_set].f1
    true, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    iiou: dict[str, float] = {}
    instances: dict[str, int] = {}
    if counts.instances is not None:
        values = iiou_per_class(counts.confusion, counts.instances, counts.size)
        iiou = dict(zip(INSTANCE_CLASSES, values.tolist(), strict=True))
        instances = dict(zip(INSTANCE_CLASSES, counts.instances.instances.tolist(), strict=True))
    return [
        {
            "class_id": id,
            "name": name,
            "iou": scores.iou[id],
            "accuracy": scores.accuracy[id],
            "boundary_f1": boundary_f1[id],
            "iiou": iiou.get(name, np.nan),
            "instances": instances.get(name, 0),
            "true_pixels": int(true[id]),
            "predicted_pixels": int(predicted[id]),
            "absent": bool(np.isnan(scores.iou[id])),
        }
        for id, name in scored_classes(class_set)
    ]


def category_rows(counts: MapCounts, class_set: ClassSet) -> list[dict[str, Any]]:
    """A row a category: a class taken for another of its category counts as right."""
    scores = scores_in(counts, class_set)
    iiou: dict[str, float] = {}
    if counts.instances is not None:
        values = iiou_per_category(counts.confusion, counts.instances, counts.size)
        iiou = dict(zip(INSTANCE_CATEGORIES, values.tolist(), strict=True))
    return [
        {"name": name, "iou": value, "iiou": iiou.get(name, np.nan), "absent": bool(np.isnan(value))}
        for name, value in zip(scores.categories, scores.category_iou.tolist(), strict=True)
    ]


def pair_rows(counts: MapCounts, class_set: ClassSet) -> list[dict[str, Any]]:
    """A row a pair of a true and a predicted class that occurs."""
    matrix, names = matrix_in(counts, class_set), (*CLASS_SETS[class_set], NO_CLASS)
    size = len(matrix)
    return [
        {
            "true_id": row,
            "true": names[row],
            "predicted_id": column if column < size else IGNORE_ID,
            "predicted": names[column],
            "pixels": int(matrix[row, column]),
        }
        for row, column in np.argwhere(matrix).tolist()
    ]


def sample_table(samples: list[SampleScore]) -> pd.DataFrame:
    """A row a sample and comparison."""
    table = pd.DataFrame(
        [asdict(row) for row in samples], columns=pd.Index(list(SampleScore.__annotations__))
    )
    numbers = ["pixel_accuracy", "miou", "boundary_f1", "boundary_length_ratio", "loss"]
    return table.astype(dict.fromkeys(numbers, "float64"))


def matrix_of(confusion: pd.DataFrame, split: str, comparison: str, class_set: ClassSet = "ids") -> Counts:
    """The (C, C + 1) counts that rows of the confusion table were made of; all 0 without such rows."""
    size = len(CLASS_SETS[class_set])
    chosen = confusion[
        (confusion["split"] == split)
        & (confusion["comparison"] == comparison)
        & (confusion["class_set"] == class_set)
    ]
    counts = np.zeros((size, size + 1), np.int64)
    columns = chosen["predicted_id"].to_numpy(int)
    counts[chosen["true_id"].to_numpy(int), np.where(columns == IGNORE_ID, size, columns)] = chosen["pixels"]
    return counts


def pairs_of(
    confusion: pd.DataFrame, split: str, comparison: str, limit: int | None = None
) -> list[ConfusedPair]:
    """What was taken for what over label ids, from the confusion table; the largest share first."""
    return confused_pairs(matrix_of(confusion, split, comparison), NAMES, limit)
