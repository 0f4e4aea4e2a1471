"""Confusion matrices against slow definitions, by properties, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segspade_core.labels import IGNORE_ID, LABELS, NAMES, VOID_IDS
from segspade_core.metrics.confusion import (
    ConfusedPair,
    class_accuracy,
    confused_pairs,
    confusion_matrix,
    confusion_of_train_ids,
    iou_per_class,
    mean_iou,
    pixel_accuracy,
)

C = 5
shape = (4, 6)
targets = arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 4, IGNORE_ID]))
predictions = arrays(np.uint8, shape, elements=st.integers(0, C - 1))
quick = settings(max_examples=60, deadline=None)


def iou_by_sets(target: np.ndarray, predicted: np.ndarray, label: int) -> float:
    counted = {(y, x) for y, x in np.ndindex(*target.shape) if target[y, x] != IGNORE_ID}
    true = {at for at in counted if target[at] == label}
    found = {at for at in counted if predicted[at] == label}
    return len(true & found) / len(true | found) if true | found else float("nan")


@quick
@given(targets, predictions)
def test_agrees_with_the_set_definition(target: np.ndarray, predicted: np.ndarray) -> None:
    """Catches a union that counts hits twice, void that counts, and absent classes given a number."""
    expected = [iou_by_sets(target, predicted, label) for label in range(C)]
    confusion = confusion_matrix(target, predicted, C, void=())
    np.testing.assert_allclose(iou_per_class(confusion), expected)


@quick
@given(targets, predictions)
def test_every_cell_is_a_count_by_loops(target: np.ndarray, predicted: np.ndarray) -> None:
    """Catches rows and columns exchanged, which IoU alone cannot see."""
    expected = np.zeros((C, C), np.int64)
    for true, guess in zip(target.ravel(), predicted.ravel(), strict=True):
        if true != IGNORE_ID:
            expected[true, guess] += 1
    np.testing.assert_array_equal(confusion_matrix(target, predicted, C, void=()), expected)


@quick
@given(targets, predictions, targets, predictions)
def test_matrices_of_disjoint_sets_add(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> None:
    """Catches a normalised or clipped count."""
    together = confusion_matrix(np.vstack([a, c]), np.vstack([b, d]), C)
    np.testing.assert_array_equal(together, confusion_matrix(a, b, C) + confusion_matrix(c, d, C))


@quick
@given(targets, predictions, st.permutations(range(C)))
def test_renaming_classes_only_reorders(target: np.ndarray, predicted: np.ndarray, order: list[int]) -> None:
    """Catches a class that is treated unlike the others."""
    table = np.full(256, IGNORE_ID, np.uint8)
    table[:C] = order
    before = confusion_matrix(target, predicted, C, void=())
    after = confusion_matrix(table[target], table[predicted], C, void=())
    np.testing.assert_array_equal(after[np.ix_(order, order)], before)
    assert mean_iou(after) == pytest.approx(mean_iou(before), nan_ok=True)


def test_rows_are_true_and_columns_predicted() -> None:
    """Catches the transposed matrix. By hand: two cars taken for trucks, one truck right."""
    target = np.array([[26, 26, 27]], np.uint8)
    predicted = np.array([[27, 27, 27]], np.uint8)
    confusion = confusion_matrix(target, predicted)
    assert confusion.shape == (34, 34)
    assert confusion.dtype == np.int64
    assert confusion[26, 27] == 2
    assert confusion[27, 26] == 0
    assert confusion[27, 27] == 1
    assert confusion.sum() == 3
    assert iou_per_class(confusion)[27] == pytest.approx(1 / 3)
    assert iou_per_class(confusion)[26] == 0
    assert class_accuracy(confusion)[27] == 1
    assert class_accuracy(confusion)[26] == 0
    assert np.isnan(class_accuracy(confusion)[25])
    assert mean_iou(confusion) == pytest.approx(1 / 6)
    assert pixel_accuracy(confusion) == pytest.approx(1 / 3)


@pytest.mark.parametrize("void", [*VOID_IDS, IGNORE_ID])
def test_void_targets_do_not_count_but_void_predictions_do(void: int) -> None:
    """Catches void left in the target's count, and a model that scores higher by predicting void."""
    target = np.array([[void, 7, 7]], np.uint8)
    predicted = np.array([[7, void, 7]], np.uint8)
    confusion = confusion_matrix(target, predicted, count_others=True)
    assert confusion.sum() == 2
    assert pixel_accuracy(confusion) == 0.5
    assert iou_per_class(confusion)[7] == 0.5


def test_ego_vehicle_and_static_are_scored_over_ids_and_not_officially() -> None:
    """Catches the official score's void taken for our own."""
    maps = np.array([[1, 4, 7]], np.uint8)
    assert confusion_matrix(maps, maps).sum() == 3
    assert confusion_of_train_ids(maps, maps).sum() == 1


def test_official_score_keeps_predictions_outside_its_classes() -> None:
    """Catches a car predicted as caravan (no train id) leaving the car's count. Car is train id 13."""
    target = np.array([[26, 26]], np.uint8)
    predicted = np.array([[26, 29]], np.uint8)
    confusion = confusion_of_train_ids(target, predicted)
    assert confusion.shape == (19, 20)
    assert iou_per_class(confusion)[13] == 0.5
    assert pixel_accuracy(confusion) == 0.5


def test_official_score_agrees_with_its_formula() -> None:
    """Peer: true and false positives by the official definition, over all ids at once."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 34, (40, 50), dtype=np.uint8)
    predicted = np.where(rng.random((40, 50)) < 0.5, target, rng.integers(0, 34, (40, 50))).astype(np.uint8)
    scored = [label for label in LABELS if not label.ignore_in_eval]
    expected = []
    for label in scored:
        counted = np.isin(target, [other.id for other in scored])
        hits = ((target == label.id) & (predicted == label.id)).sum()
        misses = ((target == label.id) & (predicted != label.id)).sum()
        false = ((predicted == label.id) & (target != label.id) & counted).sum()
        expected.append(hits / (hits + misses + false))
    np.testing.assert_allclose(iou_per_class(confusion_of_train_ids(target, predicted)), expected)


def test_an_absent_class_is_not_a_zero() -> None:
    """Catches absent classes that drag the mean down."""
    maps = np.full((3, 3), 7, np.uint8)
    iou = iou_per_class(confusion_matrix(maps, maps))
    assert np.isnan(iou).sum() == 33
    assert mean_iou(confusion_matrix(maps, maps)) == 1


def test_nothing_to_count() -> None:
    """Catches a division by zero, which is a warning and so an error."""
    nothing = confusion_matrix(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8))
    assert np.isnan(mean_iou(nothing))
    assert np.isnan(pixel_accuracy(nothing))


def test_pairs_are_ordered_by_share_of_the_true_class() -> None:
    """Catches shares of the predicted class, and the diagonal among the mistakes.

    By hand: of 4 persons 1 became rider (0.25); of 10 roads 2 became sidewalk (0.2) and 1 sky (0.1).
    """
    target = np.array([24] * 4 + [7] * 10, np.uint8)
    predicted = np.array([24] * 3 + [25] + [7] * 7 + [8] * 2 + [23], np.uint8)
    confusion = confusion_matrix(target, predicted)
    pairs = confused_pairs(confusion, NAMES)
    assert pairs == [
        ConfusedPair("person", "rider", 0.25, 1),
        ConfusedPair("road", "sidewalk", 0.2, 2),
        ConfusedPair("road", "sky", 0.1, 1),
    ]
    assert confused_pairs(confusion, NAMES, limit=1) == pairs[:1]


def test_says_what_is_wrong_with_the_maps() -> None:
    """Catches stray ids counted in silence."""
    road = np.full((2, 2), 7, np.uint8)
    with pytest.raises(
        ValueError,
        match=r"target holds id 77 \(1 pixels\), which is not one of the 34 classes; map it to 255",
    ):
        confusion_matrix(np.array([[77, 7], [7, 7]], np.uint8), road)
    with pytest.raises(ValueError, match=r"predicted holds id 40 \(4 pixels\)"):
        confusion_matrix(road, np.full((2, 2), 40, np.uint8))
    with pytest.raises(
        ValueError, match=r"target is \(2, 2\), predicted is \(2, 1\): they must be the same size"
    ):
        confusion_matrix(road, road[:, :1])
    with pytest.raises(ValueError, match="target is float64; label maps hold whole numbers from 0 to 255"):
        confusion_matrix(road.astype(float), road)
    with pytest.raises(ValueError, match="predicted is int64"):
        confusion_matrix(road, np.full((2, 2), 300))


def test_wider_integers_are_taken() -> None:
    """Catches labels from torch (int64) refused."""
    road = np.full((2, 2), 7, np.int64)
    assert confusion_matrix(road, road)[7, 7] == 4
