"""Everything that one confusion matrix says: scores per class, per category, and their means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from segspade_core.labels import NAMES, TRAIN_NAMES, VOID_IDS, by_name
from segspade_core.metrics.confusion import (
    class_accuracy,
    group_classes,
    iou_per_class,
    pixel_accuracy,
    project_to_train_ids,
)
from segspade_core.metrics.ratios import Fractions, mean_of_known


@dataclass(frozen=True, eq=False)
class SegmentationScores:
    """Scores of one confusion matrix, all in [0, 1]. NaN says that there was nothing to score.

    A class is absent where neither target nor prediction has it: it has no IoU, and no mean counts it.

    Attributes:
        classes: names of the C classes.
        iou: (C,) float64, NaN for an absent class.
        accuracy: (C,) float64, the share of each class's true pixels that was found; NaN without any.
        absent: names of the absent classes, of those that can be scored.
        categories: names of the K categories that the classes belong to.
        category_iou: (K,) float64, where a class taken for another of its category counts as right.
        absent_categories: names.
        pixels: that were counted.
        mean_iou: over the classes that are not absent.
        mean_category_iou: over the categories that are not absent.
        pixel_accuracy: share of all counted pixels that is right.
        mean_accuracy: over the classes that have true pixels.
        frequency_weighted_iou: each class weighted by its share of the true pixels.
    """

    classes: tuple[str, ...]
    iou: Fractions
    accuracy: Fractions
    absent: tuple[str, ...]
    categories: tuple[str, ...]
    category_iou: Fractions
    absent_categories: tuple[str, ...]
    pixels: int
    mean_iou: float
    mean_category_iou: float
    pixel_accuracy: float
    mean_accuracy: float
    frequency_weighted_iou: float

    @classmethod
    def of_confusion(
        cls,
        confusion: npt.NDArray[Any],
        classes: Sequence[str],
        categories: Sequence[str] | None = None,
        void: Sequence[int] = (),
    ) -> Self:
        """Read every score from a matrix.

        Args:
            confusion: (C, C) or (C, C + 1) counts from `confusion_matrix`.
            classes: the C names.
            categories: the category of each class; None makes each class its own.
            void: classes that can not be scored, and so are not called absent.

        Raises:
            ValueError: there are not as many names as classes.

        Source: Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, section 5,
        for the accuracies and means over classes; Cordts et al., "The Cityscapes Dataset", CVPR 2016,
        section 4.2, for categories.
        """
        if len(classes) != len(confusion) or len(categories or classes) != len(confusion):
            raise ValueError(f"{len(classes)} names of classes for a confusion matrix of {confusion.shape}")
        owners = categories or classes
        names = tuple(dict.fromkeys(owners))
        groups = np.array([names.index(owner) for owner in owners])
        iou, accuracy = iou_per_class(confusion), class_accuracy(confusion)
        category_iou = iou_per_class(group_classes(confusion, groups, len(names)))
        return cls(
            classes=tuple(classes),
            iou=iou,
            accuracy=accuracy,
            absent=tuple(name for id, name in enumerate(classes) if np.isnan(iou[id]) and id not in void),
            categories=names,
            category_iou=category_iou,
            absent_categories=tuple(
                name for name, value in zip(names, category_iou, strict=True) if np.isnan(value)
            ),
            pixels=int(confusion.sum()),
            mean_iou=mean_of_known(iou),
            mean_category_iou=mean_of_known(category_iou),
            pixel_accuracy=pixel_accuracy(confusion),
            mean_accuracy=mean_of_known(accuracy),
            frequency_weighted_iou=frequency_weighted_iou(confusion),
        )

    @classmethod
    def of_ids(cls, confusion: npt.NDArray[Any]) -> Self:
        """Scores over label ids, of (34, 34) or (34, 35) counts over label ids; eight categories."""
        return cls.of_confusion(confusion, NAMES, [by_name[name].category for name in NAMES], VOID_IDS)

    @classmethod
    def of_train_ids(cls, confusion: npt.NDArray[Any]) -> Self:
        """The official scores over 19 classes and seven categories.

        Args:
            confusion: (19, 19) or (19, 20) counts over train ids, or (34, 35) over label ids, which are
                regrouped: predictions of other labels stay mistakes, true pixels of those do not count.
        """
        if len(confusion) == len(NAMES):
            confusion = project_to_train_ids(confusion)
        return cls.of_confusion(confusion, TRAIN_NAMES, [by_name[name].category for name in TRAIN_NAMES])


def frequency_weighted_iou(confusion: npt.NDArray[Any]) -> float:
    """Mean of IoU weighted by each class's share of the true pixels, in [0, 1]; NaN where no pixel counts.

    Source: Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, section 5.
    """
    pixels = confusion.sum(axis=1)
    total = int(pixels.sum())
    # a class without true pixels weighs nothing, whether it has an IoU or not
    weighted = pixels[pixels > 0] * iou_per_class(confusion)[pixels > 0]
    return float(weighted.sum() / total) if total else float("nan")
