"""What is counted of one shard, and how the counts of shards become those of a split: they add."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from segspade_core.datasets.resize import resize_nearest
from segspade_core.metrics.confusion import mean_iou, pixel_accuracy
from segspade_core.metrics.cycle import edge_agreement
from segspade_core.metrics.map_counts import MapCounts, count_maps

Comparison = Literal["segmenter", "painted_true", "painted_predicted", "cycle"]
COMPARISONS: dict[Comparison, str] = {
    "segmenter": "predicted from photographs, against the true maps",
    "painted_true": "predicted from images painted from true maps, against the true maps",
    "painted_predicted": "predicted from images painted from predicted maps, against the true maps",
    "cycle": "second map (predicted from the painted image) against the first (which it was painted from)",
}
Resolution = Literal["label", "network"]


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
    loss: float | None = None


@dataclass
class Tally:
    """Counts and per-sample scores of some samples. Tallies of disjoint sets of samples add.

    Attributes:
        counts: (split, comparison) → what was counted.
        samples: one row a sample and comparison.
    """

    counts: dict[tuple[str, Comparison], MapCounts] = field(default_factory=dict)
    samples: list[SampleScore] = field(default_factory=list)

    def add(
        self,
        split: str,
        comparison: Comparison,
        sample_id: str,
        target: npt.NDArray[Any],
        predicted: npt.NDArray[Any],
        boundary_tolerance: float = 0.0075,
        *,
        instance_ids: npt.NDArray[Any] | None = None,
        confidence: npt.NDArray[np.uint8] | None = None,
        resolution: Resolution = "label",
        loss: float | None = None,
    ) -> None:
        """Count one sample. How soft edges are is looked at in the cycle only, where both maps are predicted.

        Args:
            target: (H, W) uint8 label ids: the true map, or the first one of the cycle.
            predicted: (h, w) uint8 label ids.
            boundary_tolerance: as a fraction of the diagonal.
            instance_ids: of the target, likewise (H, W).
            confidence: of the prediction, (h, w) uint8: 255 times the probability of the predicted class.
            resolution: the size that is counted at, where the two differ: 'label' brings the prediction to
                the target's, as the official evaluation asks for, 'network' the target to the prediction's.
            loss: mean cross-entropy of the prediction's scores, kept as it is.

        Raises:
            InputError: an id is in no table.
            ValueError: an unknown comparison, or a size that the samples before did not have.
        """
        if comparison not in COMPARISONS:
            raise ValueError(f"comparison '{comparison}' is none of {', '.join(COMPARISONS)}")
        height, width = target.shape if resolution == "label" else predicted.shape
        target, predicted = (resize_nearest(ids, (height, width)) for ids in (target, predicted))
        counts = count_maps(
            target,
            predicted,
            boundary_tolerance,
            None if instance_ids is None else resize_nearest(instance_ids, (height, width)),
            None if confidence is None else resize_nearest(confidence, (height, width)),
        )
        edges = edge_agreement(target, predicted, boundary_tolerance) if comparison == "cycle" else {}
        self._count(split, comparison, counts)
        self.samples.append(
            SampleScore(
                split,
                sample_id,
                comparison,
                known(pixel_accuracy(counts.confusion)),
                known(mean_iou(counts.confusion)),
                **{name: known(value) for name, value in edges.items()},
                loss=loss,
            )
        )

    def _count(self, split: str, comparison: Comparison, counts: MapCounts) -> None:
        at = split, comparison
        self.counts[at] = self.counts[at] + counts if at in self.counts else counts

    def __add__(self, other: Tally) -> Tally:
        result = Tally(dict(self.counts), [*self.samples, *other.samples])
        for (split, comparison), counts in other.counts.items():
            result._count(split, comparison, counts)
        return result

    def to_json(self) -> str:
        """Everything as one line of JSON; the same tally gives the same text."""
        counts = [
            {"split": split, "comparison": comparison, **counts.to_dict()}
            for (split, comparison), counts in sorted(self.counts.items(), key=lambda item: item[0])
        ]
        rows = [vars(sample) for sample in self.samples]
        return json.dumps({"counts": counts, "samples": rows}, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The tally that `to_json` wrote."""
        content = json.loads(text)
        counts = {
            (entry["split"], entry["comparison"]): MapCounts.from_dict(entry) for entry in content["counts"]
        }
        return cls(counts, [SampleScore(**row) for row in content["samples"]])


def known(value: float) -> float | None:
    """The number, or None for NaN: JSON has no NaN, and readers should not meet one."""
    return None if math.isnan(value) else float(value)
