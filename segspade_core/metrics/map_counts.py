"""Everything that is counted when label maps are compared, in counts that add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from segspade_core.labels import IGNORE_ID, NUM_IDS, NUM_TRAIN_IDS, VOID_IDS, ids_to_train_ids, void_mask
from segspade_core.metrics.calibration import ReliabilityHistogram, reliability_of_bytes
from segspade_core.metrics.class_boundaries import BoundaryCounts, boundary_counts
from segspade_core.metrics.class_sets import ClassSet
from segspade_core.metrics.confusion import confusion_of_ids
from segspade_core.metrics.counting import Counts
from segspade_core.metrics.instance_iou import InstanceRecalls, instance_recalls


@dataclass(frozen=True, eq=False)
class MapCounts:
    """What was counted of some pairs of maps, all of one size. Counts of disjoint sets of pairs add.

    Attributes:
        size: (H, W) that they were compared at.
        confusion: (34, 35) counts over label ids, last column = predicted as none.
        boundaries: those of each class, in both views; they do not follow from one another, as two labels
            that the official score leaves out have no boundary between them there.
        instances: how much of the true objects was found; None where objects are not told apart.
        reliability: of the predictions, in both views, at pixels whose true class is in it; None where their
            confidence is not known. A segmenter of the 19 classes alone can be right in these alone.
    """

    size: tuple[int, int]
    confusion: Counts
    boundaries: Mapping[ClassSet, BoundaryCounts]
    instances: InstanceRecalls | None = None
    reliability: Mapping[ClassSet, ReliabilityHistogram] | None = None

    def __add__(self, other: MapCounts) -> MapCounts:
        """The sum.

        Raises:
            ValueError: they were compared at different sizes, or only one has instances, or confidences:
                a score of the sum would be one of a part.
        """
        if self.size != other.size:
            raise ValueError(f"counts of maps of {self.size} and of {other.size} do not add")
        return MapCounts(
            self.size,
            self.confusion + other.confusion,
            {name: counts + other.boundaries[name] for name, counts in self.boundaries.items()},
            self._instances_with(other),
            self._reliability_with(other),
        )

    def _instances_with(self, other: MapCounts) -> InstanceRecalls | None:
        if self.instances is not None and other.instances is not None:
            return self.instances + other.instances
        _check_neither(self.instances, other.instances, "instances")
        return None

    def _reliability_with(self, other: MapCounts) -> dict[ClassSet, ReliabilityHistogram] | None:
        if self.reliability is not None and other.reliability is not None:
            return {name: counts + other.reliability[name] for name, counts in self.reliability.items()}
        _check_neither(self.reliability, other.reliability, "confidences")
        return None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: lists of whole numbers, and of the confusion matrix only what is not 0."""
        return {
            "size": list(self.size),
            "cells": [[*at, int(self.confusion[*at])] for at in np.argwhere(self.confusion).tolist()],
            "boundaries": {name: _lists(counts) for name, counts in self.boundaries.items()},
            "instances": None if self.instances is None else _lists(self.instances),
            "reliability": None
            if self.reliability is None
            else {name: _lists(counts) for name, counts in self.reliability.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """What `to_dict` gave."""
        confusion = np.zeros((NUM_IDS, NUM_IDS + 1), np.int64)
        for row, column, pixels in content["cells"]:
            confusion[row, column] = pixels
        instances, reliability = content["instances"], content["reliability"]
        return cls(
            (content["size"][0], content["size"][1]),
            confusion,
            {name: BoundaryCounts(**_arrays(lists)) for name, lists in content["boundaries"].items()},
            None if instances is None else InstanceRecalls(**_arrays(instances)),
            None
            if reliability is None
            else {name: ReliabilityHistogram(**_arrays(lists)) for name, lists in reliability.items()},
        )


def count_maps(
    target: npt.NDArray[Any],
    predicted: npt.NDArray[Any],
    boundary_tolerance: float,
    instance_ids: npt.NDArray[Any] | None = None,
    confidence: npt.NDArray[np.uint8] | None = None,
) -> MapCounts:
    """Compare two maps.

    Args:
        target: (H, W) uint8 label ids, or 255.
        predicted: (H, W) uint8 label ids.
        boundary_tolerance: as a fraction of the diagonal.
        instance_ids: (H, W) integers of the true objects, as Cityscapes numbers them.
        confidence: (H, W) uint8, 255 times the probability of the predicted class.

    Raises:
        InputError: an id is in no table; the message names it.
        ValueError: shapes differ.
    """
    height, width = target.shape
    official = ids_to_train_ids(target)
    known_in: dict[ClassSet, npt.NDArray[np.bool_]] = {
        "ids": ~void_mask(target),
        "train_ids": official != IGNORE_ID,
    }
    return MapCounts(
        (height, width),
        confusion_of_ids(target, predicted),
        {
            "ids": boundary_counts(target, predicted, NUM_IDS, boundary_tolerance, void=VOID_IDS),
            "train_ids": boundary_counts(
                official, ids_to_train_ids(predicted), NUM_TRAIN_IDS, boundary_tolerance
            ),
        },
        None if instance_ids is None else instance_recalls(instance_ids, predicted),
        None
        if confidence is None
        else {
            name: reliability_of_bytes(confidence[known], (target == predicted)[known])
            for name, known in known_in.items()
        },
    )


def _check_neither(one: object | None, other: object | None, what: str) -> None:
    if one is not None or other is not None:
        raise ValueError(f"counts with {what} and counts without do not add")


def _lists(counts: Any) -> dict[str, list[int]]:
    return {name: array.tolist() for name, array in vars(counts).items()}


def _arrays(lists: Mapping[str, list[int]]) -> dict[str, Counts]:
    return {name: np.array(values, np.int64) for name, values in lists.items()}
