"""Scores of a confusion matrix against torchmetrics, by properties and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index

from segspade_core.labels import IGNORE_ID, NAMES, TRAIN_NAMES
from segspade_core.metrics.confusion import (
    confusion_matrix,
    confusion_of_ids,
    confusion_of_train_ids,
)
from segspade_core.metrics.segmentation import SegmentationScores, frequency_weighted_iou

C = 4
LETTERS = ("a", "b", "c", "d")
targets = arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 1, 2, 3, IGNORE_ID]))
predictions = arrays(np.uint8, (4, 6), elements=st.integers(0, C - 1))
quick = settings(max_examples=60, deadline=None)


def random_maps(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, (40, 60), dtype=np.uint8)
    noise = rng.integers(0, classes, target.shape, dtype=np.uint8)
    return target, np.where(rng.random(target.shape) < 0.6, target, noise)


def test_agrees_with_torchmetrics() -> None:
    """Peer. Catches means weighted by the wrong frequencies, and accuracy by predicted pixels."""
    target, predicted = random_maps(19)
    target[:5] = IGNORE_ID
    scores = SegmentationScores.of_train_ids(confusion_matrix(target, predicted, 19))
    maps = torch.from_numpy(predicted.astype(int)), torch.from_numpy(target.astype(int))

    def peer(function: object, average: str) -> np.ndarray:
        return function(*maps, 19, average=average, ignore_index=IGNORE_ID).double().numpy()  # type: ignore

    close = {"rtol": 1e-6}  # it computes in float32
    np.testing.assert_allclose(scores.iou, peer(multiclass_jaccard_index, "none"), **close)
    np.testing.assert_allclose(scores.mean_iou, peer(multiclass_jaccard_index, "macro"), **close)
    np.testing.assert_allclose(
        scores.frequency_weighted_iou, peer(multiclass_jaccard_index, "weighted"), **close
    )
    np.testing.assert_allclose(scores.pixel_accuracy, peer(multiclass_accuracy, "micro"), **close)
    np.testing.assert_allclose(scores.mean_accuracy, peer(multiclass_accuracy, "macro"), **close)
    np.testing.assert_allclose(scores.accuracy, peer(multiclass_accuracy, "none"), **close)
    assert scores.absent == scores.absent_categories == ()
    assert scores.pixels == 35 * 60


def test_by_hand() -> None:
    """Catches an absent class in a mean, and a class that is only predicted left out of one.

    True a, a, a, b; predicted a, a, c, b; d is absent. IoU a 2/3, b 1, c 0, d none: mean 5/9. Accuracy a 2/3,
    b 1: mean 5/6. Weighted by 3/4 and 1/4: 3/4. In two groups, {a, c} 1, {b, d} 1.
    """
    confusion = confusion_matrix(np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1]), C)
    scores = SegmentationScores.of_confusion(confusion, LETTERS, ("x", "y", "x", "y"))
    np.testing.assert_allclose(scores.iou, [2 / 3, 1, 0, math.nan])
    np.testing.assert_allclose(scores.accuracy, [2 / 3, 1, math.nan, math.nan])
    assert scores.absent == ("d",)
    assert scores.mean_iou == pytest.approx(5 / 9)
    assert scores.mean_accuracy == pytest.approx(5 / 6)
    assert scores.pixel_accuracy == 0.75
    assert scores.frequency_weighted_iou == pytest.approx(0.75)
    assert scores.categories == ("x", "y")
    assert scores.category_iou.tolist() == [1, 1]
    assert scores.mean_category_iou == 1
    assert scores.pixels == 4


@quick
@given(targets, predictions, st.permutations(range(C)))
def test_the_order_of_classes_only_orders(
    target: np.ndarray, predicted: np.ndarray, order: list[int]
) -> None:
    """Catches a class treated unlike the others, in itself or in its category."""
    table = np.full(256, IGNORE_ID, np.uint8)
    table[:C] = order
    names = [LETTERS[order.index(place)] for place in range(C)]
    category = dict(zip(LETTERS, ("x", "y", "x", "y"), strict=True))
    pair = [
        SegmentationScores.of_confusion(
            confusion_matrix(lookup[target], lookup[predicted], C), own, [category[name] for name in own]
        )
        for lookup, own in ((np.arange(256, dtype=np.uint8), LETTERS), (table, names))
    ]
    for names_of, values_of in (("classes", "iou"), ("classes", "accuracy"), ("categories", "category_iou")):
        first, second = (
            dict(zip(getattr(each, names_of), getattr(each, values_of).tolist(), strict=True))
            for each in pair
        )
        assert first == pytest.approx(second, nan_ok=True)
    assert sorted(pair[0].absent) == sorted(pair[1].absent)
    for name in (
        "mean_iou",
        "mean_category_iou",
        "pixel_accuracy",
        "mean_accuracy",
        "frequency_weighted_iou",
    ):
        assert getattr(pair[0], name) == pytest.approx(getattr(pair[1], name), nan_ok=True)


@quick
@given(targets, predictions, predictions)
def test_what_is_predicted_where_nothing_is_known_does_not_matter(
    target: np.ndarray, predicted: np.ndarray, other: np.ndarray
) -> None:
    """Catches void pixels among the false positives."""
    mixed = np.where(target == IGNORE_ID, other, predicted)
    pair = [
        SegmentationScores.of_confusion(confusion_matrix(target, each, C), LETTERS)
        for each in (predicted, mixed)
    ]
    for name, value in vars(pair[0]).items():
        np.testing.assert_equal(getattr(pair[1], name), value)


def test_official_scores_follow_from_counts_over_ids() -> None:
    """Peer: counting train ids on the pixels. Catches labels that the official score leaves out among it."""
    target, predicted = random_maps(34)
    first = SegmentationScores.of_train_ids(confusion_of_ids(target, predicted))
    second = SegmentationScores.of_train_ids(confusion_of_train_ids(target, predicted))
    for name, value in vars(first).items():
        np.testing.assert_equal(getattr(second, name), value)
    assert first.classes == TRAIN_NAMES
    assert len(first.categories) == 7


def test_over_ids_void_is_no_class_and_not_absent() -> None:
    """Catches void among the absent, and a category that has only void called present."""
    maps = np.array([[0, 2, 3, 255, 7, 26, 29]], np.uint8)
    scores = SegmentationScores.of_ids(confusion_of_ids(maps, maps))
    assert scores.classes == NAMES
    assert set(NAMES) - set(scores.absent) == {
        "unlabeled", "rectification border", "out of roi", "road", "car", "caravan"
    }  # fmt: skip
    assert set(scores.categories) - set(scores.absent_categories) == {"flat", "vehicle"}
    assert scores.mean_iou == scores.mean_category_iou == scores.mean_accuracy == 1


def test_a_category_forgives_what_stays_within_it() -> None:
    """By hand: of 4 cars one is taken for a bus, one for a caravan (no official class), one for road."""
    target, predicted = np.full(4, 26, np.uint8), np.array([26, 28, 29, 7], np.uint8)
    confusion = confusion_of_ids(target, predicted)
    official = SegmentationScores.of_train_ids(confusion)
    vehicle = official.categories.index("vehicle")
    assert official.category_iou[vehicle] == 2 / 4
    over_ids = SegmentationScores.of_ids(confusion)
    assert over_ids.category_iou[over_ids.categories.index("vehicle")] == 3 / 4


def test_nothing_to_score() -> None:
    """Catches a division by zero, which is a warning and so an error."""
    scores = SegmentationScores.of_train_ids(np.zeros((19, 20), np.int64))
    assert scores.absent == TRAIN_NAMES
    assert math.isnan(scores.mean_iou)
    assert math.isnan(scores.mean_category_iou)
    assert math.isnan(scores.pixel_accuracy)
    assert math.isnan(scores.mean_accuracy)
    assert math.isnan(frequency_weighted_iou(np.zeros((3, 4), np.int64)))


def test_names_must_go_with_the_matrix() -> None:
    """Catches scores under the names of other classes."""
    with pytest.raises(ValueError, match=r"2 names of classes for a confusion matrix of \(3, 3\)"):
        SegmentationScores.of_confusion(np.zeros((3, 3), np.int64), ("a", "b"))
