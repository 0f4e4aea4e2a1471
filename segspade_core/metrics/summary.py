"""From counts to the scores artifact: a summary, and tables per class, pair of classes and sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from segspade_core.labels import IGNORE_ID, NAMES, TRAIN_NAMES, VOID_IDS
from segspade_core.metrics.confusion import (
    Counts,
    class_accuracy,
    iou_per_class,
    mean_iou,
    pixel_accuracy,
    project_to_train_ids,
)
from segspade_core.metrics.cycle import aggregate
from segspade_core.metrics.mistakes import ConfusedPair, confused_pairs
from segspade_core.metrics.tally import COMPARISONS, Comparison, SampleScore, Tally, known

ClassSet = Literal["ids", "train_ids"]
CLASS_SETS: dict[ClassSet, tuple[str, ...]] = {"ids": NAMES, "train_ids": TRAIN_NAMES}
NO_CLASS = "(void)"
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Scores:
    """Content of a scores artifact.

    Attributes:
        summary: JSON-able; no NaN, None for what cannot be told.
        per_class: a row per split, comparison, class set and class: iou, accuracy, pixels, absent.
        confusion: a row per pair of classes that occurs: pixels of `true` predicted as `predicted`.
        per_sample: a row per split, comparison and sample.
    """

    summary: dict[str, Any]
    per_class: pd.DataFrame
    confusion: pd.DataFrame
    per_sample: pd.DataFrame


def summarise(tally: Tally, boundary_tolerance: float = 0.0075) -> Scores:
    """Make every table of the scores; the order in which shards were added does not show.

    Args:
        tally: the sum of all shards' tallies.
        boundary_tolerance: that the samples were counted with, for the record.
    """
    order = sorted(
        tally.confusions, key=lambda at: (_rank(at[0], _SPLITS), at[0], _rank(at[1], list(COMPARISONS)))
    )
    samples = sorted(
        tally.samples,
        key=lambda row: (
            _rank(row.split, _SPLITS),
            row.split,
            _rank(row.comparison, list(COMPARISONS)),
            row.id,
        ),
    )
    splits: dict[str, dict[str, Any]] = {}
    class_rows: list[dict[str, Any]] = []
    pair_rows: list[dict[str, Any]] = []
    for split, comparison in order:
        matrices: dict[ClassSet, Counts] = {
            "ids": tally.confusions[split, comparison],
            "train_ids": project_to_train_ids(tally.confusions[split, comparison]),
        }
        own = [row for row in samples if (row.split, row.comparison) == (split, comparison)]
        splits.setdefault(split, {})[comparison] = {
            "what": COMPARISONS[comparison],
            "samples": len(own),
            **{name: _in_short(matrix, name) for name, matrix in matrices.items()},
            **_edges(comparison, own),
        }
        for name, matrix in matrices.items():
            where = {"split": split, "comparison": comparison, "class_set": name}
            class_rows += [where | row for row in _class_rows(matrix, name)]
            pair_rows += [where | row for row in _pair_rows(matrix, name)]
    return Scores(
        {"boundary_tolerance": boundary_tolerance, "splits": splits},
        pd.DataFrame(class_rows, columns=pd.Index(_CLASS_COLUMNS)),
        pd.DataFrame(pair_rows, columns=pd.Index(_PAIR_COLUMNS)),
        _sample_table(samples),
    )


_WHERE = ["split", "comparison", "class_set"]
_CLASS_COLUMNS = [*_WHERE, "class_id", "name", "iou", "accuracy", "true_pixels", "predicted_pixels", "absent"]
_PAIR_COLUMNS = [*_WHERE, "true_id", "true", "predicted_id", "predicted", "pixels"]


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


def _rank(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def _in_short(matrix: Counts, class_set: ClassSet) -> dict[str, Any]:
    iou = iou_per_class(matrix)
    return {
        "miou": known(mean_iou(matrix)),
        "pixel_accuracy": known(pixel_accuracy(matrix)),
        "pixels": int(matrix.sum()),
        "classes": int((~np.isnan(iou)).sum()),
        "absent": [name for id, name in _scored(class_set) if np.isnan(iou[id])],
    }


def _scored(class_set: ClassSet) -> list[tuple[int, str]]:
    """(id, name) of the classes that can be scored at all: over label ids, void is none."""
    skipped = VOID_IDS if class_set == "ids" else ()
    return [(id, name) for id, name in enumerate(CLASS_SETS[class_set]) if id not in skipped]


def _edges(comparison: Comparison, samples: list[SampleScore]) -> dict[str, float | None]:
    if comparison != "cycle":
        return {}
    means = aggregate(
        [
            {name: _or_nan(getattr(row, name)) for name in ("boundary_f1", "boundary_length_ratio")}
            for row in samples
        ]
    )
    return {name: known(value) for name, value in means.items()}


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _class_rows(matrix: Counts, class_set: ClassSet) -> list[dict[str, Any]]:
    iou, accuracy = iou_per_class(matrix), class_accuracy(matrix)
    true, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        {
            "class_id": id,
            "name": name,
            "iou": iou[id],
            "accuracy": accuracy[id],
            "true_pixels": int(true[id]),
            "predicted_pixels": int(predicted[id]),
            "absent": bool(np.isnan(iou[id])),
        }
        for id, name in _scored(class_set)
    ]


def _pair_rows(matrix: Counts, class_set: ClassSet) -> list[dict[str, Any]]:
    names = (*CLASS_SETS[class_set], NO_CLASS)
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


def _sample_table(samples: list[SampleScore]) -> pd.DataFrame:
    table = pd.DataFrame(
        [asdict(row) for row in samples], columns=pd.Index(list(SampleScore.__annotations__))
    )
    numbers = ["pixel_accuracy", "miou", "boundary_f1", "boundary_length_ratio"]
    return table.astype(dict.fromkeys(numbers, "float64"))
