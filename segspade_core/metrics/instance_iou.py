"""Instance-weighted IoU (iIoU): a distant person counts as much as a near one.

Plain IoU is ruled by large objects. Here the pixels of each true instance weigh by the average size of its
class over its own size, so every instance brings the same weight, and it is told how much of it was found.
False positives belong to no instance and keep their plain count.

Source: Cordts et al., "The Cityscapes Dataset", CVPR 2016, section 4.2: iTP / (iTP + FP + iFN).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.errors import InputError
from segspade_core.labels import (
    CATEGORIES,
    IGNORE_ID,
    LABELS,
    NUM_IDS,
    by_name,
    ids_to_categories,
    ids_to_train_ids,
)
from segspade_core.metrics.ratios import Fractions, ratio

OFFICIAL_SIZE = (1024, 2048)  # height and width of the annotations that the official score is counted on
# mean pixels of an instance over the training set at that size, as the official evaluation has them. It has
# two more, of labels that it does not score
AVERAGE_SIZE_PX: dict[str, float] = {
    "person": 3462.4756337644,
    "rider": 3930.4788056518,
    "car": 12794.0202738185,
    "truck": 27855.1264367816,
    "bus": 35732.1511111111,
    "train": 67583.7075812274,
    "motorcycle": 6298.7200839748,
    "bicycle": 4672.3249222261,
}
INSTANCE_CLASSES: tuple[str, ...] = tuple(AVERAGE_SIZE_PX)
# those whose every label tells its objects apart
INSTANCE_CATEGORIES: tuple[str, ...] = tuple(
    category
    for category in CATEGORIES
    if all(label.has_instances for label in LABELS if label.category == category and label.id >= 0)
)
_ID = np.array([by_name[name].id for name in INSTANCE_CLASSES])
_SIZE_PX = np.array(list(AVERAGE_SIZE_PX.values()))
_ROWS = np.arange(NUM_IDS)
_OFFICIAL = ids_to_train_ids(_ROWS) != IGNORE_ID  # (34,) bool
# recalls are kept as whole numbers of this unit: sums are then the same in whatever order shards are added
_UNIT = 2.0**-40


@dataclass(frozen=True, eq=False)
class InstanceRecalls:
    """How much of the true instances was found. Recalls of disjoint sets of images add.

    Attributes:
        instances: (8,) int64, instances of each of `INSTANCE_CLASSES`.
        found: (8,) int64, sum over them of the share of pixels predicted as their class, in units of 2^-40.
        found_category: (8,) int64, the same with any class of their category.
    """

    instances: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]
    found_category: npt.NDArray[np.int64]

    def __add__(self, other: InstanceRecalls) -> InstanceRecalls:
        return InstanceRecalls(
            self.instances + other.instances,
            self.found + other.found,
            self.found_category + other.found_category,
        )


def instance_recalls(instance_ids: npt.NDArray[Any], predicted_ids: npt.NDArray[Any]) -> InstanceRecalls:
    """Count one image.

    Objects of labels that the official score leaves out (caravans, trailers) and areas of a class where no
    objects are told apart (groups) are no instances, as there.

    Args:
        instance_ids: (H, W) integers: label id * 1000 + number for an object, else below 1000.
        predicted_ids: (H, W) uint8 label ids; anything outside the table finds nothing.

    Raises:
        InputError: an object's label is not in the table; the message names it.
        ValueError: shapes differ.
    """
    if instance_ids.shape != predicted_ids.shape:
        raise ValueError(
            f"instance_ids is {instance_ids.shape}, predicted_ids is {predicted_ids.shape}: they must be the "
            "same size"
        )
    at = np.flatnonzero(instance_ids >= 1000)
    objects, predicted = np.ravel(instance_ids)[at], np.ravel(predicted_ids)[at]  # (N,) of every pixel
    owners = objects // 1000
    if objects.size and int(owners.max()) >= NUM_IDS:
        raise InputError(
            f"instance id {objects.max()} is of label id {owners.max()}, which is not in label table "
            "'cityscapes'; an object's instance id is its label id * 1000 + its number"
        )
    pixels = np.bincount(objects, minlength=NUM_IDS * 1000)
    present = np.flatnonzero(pixels)

    def recall(right: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        found = np.bincount(objects[right], minlength=len(pixels))[present]
        return np.rint(found / pixels[present] / _UNIT).astype(np.int64)

    of_class = (present // 1000 == _ID[:, None]).astype(np.int64)  # (8, objects)
    return InstanceRecalls(
        of_class.sum(axis=1),
        of_class @ recall(predicted == owners),
        of_class @ recall(ids_to_categories(predicted) == ids_to_categories(owners)),
    )


def iiou_per_class(
    confusion: npt.NDArray[Any], recalls: InstanceRecalls, size: tuple[int, int] = OFFICIAL_SIZE
) -> Fractions:
    """(8,) float64 in [0, 1], of `INSTANCE_CLASSES`; NaN for a class without instance or false positive.

    Args:
        confusion: (34, 34) or (34, 35) counts over label ids, of the same images.
        recalls: of all images.
        size: (H, W) of the maps. False positives are counted in pixels of that size, so the mean sizes of
            instances are brought to it too; the official evaluation knows one size only.
    """
    size_px = _SIZE_PX * _share_of_official(size)
    false = np.array([confusion[_OFFICIAL & (id != _ROWS), id].sum() for id in _ID])
    return ratio(size_px * recalls.found * _UNIT, size_px * recalls.instances + false)


def iiou_per_category(
    confusion: npt.NDArray[Any], recalls: InstanceRecalls, size: tuple[int, int] = OFFICIAL_SIZE
) -> Fractions:
    """(2,) float64 in [0, 1], of `INSTANCE_CATEGORIES`; arguments and NaN as in `iiou_per_class`.

    As in the official evaluation, all labels of a category count as found in it, and as false outside of it:
    caravans and trailers too.
    """
    categories = ids_to_categories(_ROWS)
    scores = []
    for category in INSTANCE_CATEGORIES:
        inside = categories == CATEGORIES.index(category)
        false = confusion[_OFFICIAL & ~inside, :NUM_IDS][:, inside].sum()
        size_px = np.where(inside[_ID], _SIZE_PX * _share_of_official(size), 0)
        found = (size_px * recalls.found_category * _UNIT).sum()
        scores.append(ratio(found, (size_px * recalls.instances).sum() + false))
    return np.array(scores)


def _share_of_official(size: tuple[int, int]) -> float:
    return size[0] * size[1] / (OFFICIAL_SIZE[0] * OFFICIAL_SIZE[1])
