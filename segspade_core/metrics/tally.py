"""What is counted of one shard, and how the counts of shards become those of a split: they add."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from segspade_core.labels import NUM_IDS
from segspade_core.metrics.confusion import Counts, confusion_of_ids, mean_iou, pixel_accuracy
from segspade_core.metrics.cycle import edge_agreement

Comparison = Literal["segmenter", "painted_true", "painted_predicted", "cycle"]
COMPARISONS: dict[Comparison, str] = {
    "segmenter": "predicted from photographs, against the true maps",
    "painted_true": "predicted from images painted from true maps, against the true maps",
    "painted_predicted": "predicted from images painted from predicted maps, against the true maps",
    "cycle": "second map (predicted from the painted image) against the first (which it was painted from)",
}


@dataclass(frozen=True)
class SampleScore:
    """One comparison of one sample. None stands for what cannot be told, or was not asked for."""

    split: str
    id: str
    comparison: Comparison
    pixel_accuracy: float | None
    miou: float | None
    boundary_f1: float | None = None
    boundary_length_ratio: float | None = None


@dataclass
class Tally:
    """Counts and per-sample scores of some samples. Tallies of disjoint sets of samples add.

    Attributes:
        confusions: (split, comparison) → (34, 35) counts over label ids, last column = predicted as none.
        samples: one row a sample and comparison.
    """

    confusions: dict[tuple[str, Comparison], Counts] = field(default_factory=dict)
    samples: list[SampleScore] = field(default_factory=list)

    def add(
        self,
        split: str,
        comparison: Comparison,
        sample_id: str,
        target: npt.NDArray[Any],
        predicted: npt.NDArray[Any],
        boundary_tolerance: float = 0.0075,
    ) -> None:
        """Count one sample; boundaries are looked at in the cycle only, where both maps are predicted.

        Args:
            target: (H, W) uint8 label ids: the true map, or the first one of the cycle.
            predicted: (H, W) uint8 label ids.
            boundary_tolerance: as a fraction of the diagonal.

        Raises:
            ValueError: an unknown comparison, different sizes, or a target that is no label id.
        """
        if comparison not in COMPARISONS:
            raise ValueError(f"comparison '{comparison}' is none of {', '.join(COMPARISONS)}")
        counts = confusion_of_ids(target, predicted)
        edges = edge_agreement(target, predicted, boundary_tolerance) if comparison == "cycle" else {}
        self.samples.append(
            SampleScore(
                split,
                sample_id,
                comparison,
                known(pixel_accuracy(counts)),
                known(mean_iou(counts)),
                **{name: known(value) for name, value in edges.items()},
            )
        )
        self._count(split, comparison, counts)

    def _count(self, split: str, comparison: Comparison, counts: Counts) -> None:
        at = split, comparison
        self.confusions[at] = self.confusions[at] + counts if at in self.confusions else counts

    def __add__(self, other: Tally) -> Tally:
        result = Tally(dict(self.confusions), [*self.samples, *other.samples])
        for (split, comparison), counts in other.confusions.items():
            result._count(split, comparison, counts)
        return result

    def to_json(self) -> str:
        """Everything as one line of JSON; the same tally gives the same text."""
        cells = [
            {"split": split, "comparison": comparison, "cells": _cells(counts)}
            for (split, comparison), counts in sorted(self.confusions.items())
        ]
        rows = [vars(sample) for sample in self.samples]
        return json.dumps({"confusions": cells, "samples": rows}, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The tally that `to_json` wrote."""
        content = json.loads(text)
        confusions = {}
        for entry in content["confusions"]:
            counts = np.zeros((NUM_IDS, NUM_IDS + 1), np.int64)
            for row, column, pixels in entry["cells"]:
                counts[row, column] = pixels
            confusions[entry["split"], entry["comparison"]] = counts
        return cls(confusions, [SampleScore(**row) for row in content["samples"]])


def _cells(counts: Counts) -> list[list[int]]:
    return [[row, column, int(counts[row, column])] for row, column in np.argwhere(counts).tolist()]


def known(value: float) -> float | None:
    """The number, or None for NaN: JSON has no NaN, and readers should not meet one."""
    return None if math.isnan(value) else float(value)
