"""From counts to the scores artifact: a summary, and tables of classes, categories, pairs and samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from segspade_core.metrics.calibration import (
    ReliabilityHistogram,
    expected_calibration_error,
    maximum_calibration_error,
)
from segspade_core.metrics.class_sets import CLASS_SETS, ClassSet, scored_classes
from segspade_core.metrics.cycle import aggregate
from segspade_core.metrics.instance_iou import iiou_per_category, iiou_per_class
from segspade_core.metrics.map_counts import MapCounts
from segspade_core.metrics.ratios import mean_of_known
from segspade_core.metrics.score_tables import (
    CATEGORY_COLUMNS,
    CLASS_COLUMNS,
    PAIR_COLUMNS,
    category_rows,
    class_rows,
    pair_rows,
    sample_table,
    scores_in,
)
from segspade_core.metrics.tally import COMPARISONS, Comparison, Resolution, SampleScore, Tally, known

_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Scores:
    """Content of a scores artifact.

    Attributes:
        summary: JSON-able; no NaN, None for what cannot be told.
        per_class: a row per split, comparison, class set and class: iou, accuracy, boundary_f1, iiou,
            instances, pixels, absent.
        per_category: a row per split, comparison, class set and category: iou, iiou, absent.
        confusion: a row per pair of classes that occurs: pixels of `true` predicted as `predicted`.
        per_sample: a row per split, comparison and sample.
    """

    summary: dict[str, Any]
    per_class: pd.DataFrame
    per_category: pd.DataFrame
    confusion: pd.DataFrame
    per_sample: pd.DataFrame


def summarise(tally: Tally, boundary_tolerance: float = 0.0075, resolution: Resolution = "label") -> Scores:
    """Make every table of the scores; the order in which shards were added does not show.

    Args:
        tally: the sum of all shards' tallies.
        boundary_tolerance: that the samples were counted with, for the record.
        resolution: likewise; the size itself is known from the counts.
    """
    order = sorted(
        tally.counts, key=lambda at: (_rank(at[0], _SPLITS), at[0], _rank(at[1], list(COMPARISONS)))
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
    rows: dict[str, list[dict[str, Any]]] = {"class": [], "category": [], "pair": []}
    for split, comparison in order:
        counts = tally.counts[split, comparison]
        own = [row for row in samples if (row.split, row.comparison) == (split, comparison)]
        splits.setdefault(split, {})[comparison] = {
            "what": COMPARISONS[comparison],
            "samples": len(own),
            "size": "{}x{}".format(*counts.size),
            **{name: _in_short(counts, name) for name in CLASS_SETS},
            **_edges(comparison, own),
            **_instances(counts),
            **_calibrations(counts),
        }
        for name in CLASS_SETS:
            where = {"split": split, "comparison": comparison, "class_set": name}
            rows["class"] += [where | row for row in class_rows(counts, name)]
            rows["category"] += [where | row for row in category_rows(counts, name)]
            rows["pair"] += [where | row for row in pair_rows(counts, name)]
    return Scores(
        {"boundary_tolerance": boundary_tolerance, "resolution": resolution, "splits": splits},
        pd.DataFrame(rows["class"], columns=pd.Index(CLASS_COLUMNS)),
        pd.DataFrame(rows["category"], columns=pd.Index(CATEGORY_COLUMNS)),
        pd.DataFrame(rows["pair"], columns=pd.Index(PAIR_COLUMNS)),
        sample_table(samples),
    )


def _rank(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def _in_short(counts: MapCounts, class_set: ClassSet) -> dict[str, Any]:
    scores = scores_in(counts, class_set)
    return {
        "miou": known(scores.mean_iou),
        "pixel_accuracy": known(scores.pixel_accuracy),
        "mean_accuracy": known(scores.mean_accuracy),
        "frequency_weighted_iou": known(scores.frequency_weighted_iou),
        "category_miou": known(scores.mean_category_iou),
        "class_boundary_f1": known(counts.boundaries[class_set].mean_f1),
        "pixels": scores.pixels,
        "classes": len(scored_classes(class_set)) - len(scores.absent),
        "absent": list(scores.absent),
    }


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


def _instances(counts: MapCounts) -> dict[str, Any]:
    """Of the eight official classes whose objects are told apart, and their two categories."""
    if counts.instances is None:
        return {}
    of = counts.confusion, counts.instances, counts.size
    return {
        "instances": {
            "count": int(counts.instances.instances.sum()),
            "iiou": known(mean_of_known(iiou_per_class(*of))),
            "category_iiou": known(mean_of_known(iiou_per_category(*of))),
        }
    }


def _calibrations(counts: MapCounts) -> dict[str, Any]:
    """In both views, where confidences are known."""
    if counts.reliability is None:
        return {}
    return {"calibration": {name: _calibration(each) for name, each in counts.reliability.items()}}


def _calibration(reliability: ReliabilityHistogram) -> dict[str, Any]:
    bins = zip(
        reliability.count.tolist(),
        reliability.mean_confidence.tolist(),
        reliability.accuracy.tolist(),
        strict=True,
    )
    return {
        "ece": known(expected_calibration_error(reliability)),
        "mce": known(maximum_calibration_error(reliability)),
        "bins": [
            {"pixels": count, "confidence": known(confidence), "accuracy": known(accuracy)}
            for count, confidence, accuracy in bins
        ],
    }
