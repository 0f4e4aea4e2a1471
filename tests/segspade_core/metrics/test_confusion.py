"""Confusion matrices against slow definitions, by properties, and by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segspade_core.errors import InputError
from segspade_core.kernels import load_kernels
from segspade_core.labels import IGNORE_ID, LABELS, VOID_IDS
from segspade_core.metrics import counting
from segspade_core.metrics.confusion import (
    class_accuracy,
    confusion_matrix,
    confusion_of_ids,
    confusion_of_train_ids,
    group_classes,
    iou_per_class,
    mean_iou,
    pixel_accuracy,
)
from segspade_core.metrics.counting import count_pairs, count_pairs_by_numpy

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
    confusion = confusion_matrix(target, predicted, C)
    np.testing.assert_allclose(iou_per_class(confusion), expected)


@quick
@given(targets, predictions)
def test_every_cell_is_a_count_by_loops(target: np.ndarray, predicted: np.ndarray) -> None:
    """Catches rows and columns exchanged, which IoU alone cannot see."""
    expected = np.zeros((C, C), np.int64)
    for true, guess in zip(target.ravel(), predicted.ravel(), strict=True):
        if true != IGNORE_ID:
            expected[true, guess] += 1
    np.testing.assert_array_equal(confusion_matrix(target, predicted, C), expected)


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
    before = confusion_matrix(target, predicted, C)
    after = confusion_matrix(table[target], table[predicted], C)
    np.testing.assert_array_equal(after[np.ix_(order, order)], before)
    assert mean_iou(after) == pytest.approx(mean_iou(before), nan_ok=True)


def test_rows_are_true_and_columns_predicted() -> None:
    """Catches the transposed matrix. By hand: two cars taken for trucks, one truck right."""
    target = np.array([[26, 26, 27]], np.uint8)
    predicted = np.array([[27, 27, 27]], np.uint8)
    confusion = confusion_matrix(target, predicted, 34)
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
    confusion = confusion_of_ids(target, predicted)
    assert confusion.shape == (34, 35)
    assert confusion.sum() == 2
    assert pixel_accuracy(confusion) == 0.5
    assert iou_per_class(confusion)[7] == 0.5


def test_ego_vehicle_and_static_are_scored_over_ids_and_not_officially() -> None:
    """Catches the official score's void taken for our own."""
    maps = np.array([[1, 4, 7]], np.uint8)
    assert confusion_of_ids(maps, maps).sum() == 3
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
    iou = iou_per_class(confusion_matrix(maps, maps, 34))
    assert np.isnan(iou).sum() == 33
    assert mean_iou(confusion_matrix(maps, maps, 34)) == 1


def test_nothing_to_count() -> None:
    """Catches a division by zero, which is a warning and so an error."""
    nothing = confusion_matrix(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 34)
    assert np.isnan(mean_iou(nothing))
    assert np.isnan(pixel_accuracy(nothing))


def test_says_what_is_wrong_with_the_maps() -> None:
    """Catches stray ids counted in silence, and an id that is named by what is left of it in a byte."""
    road = np.full((2, 2), 7, np.uint8)
    with pytest.raises(
        InputError,
        match=r"target holds id 77 \(1 pixels\), which is not one of the 34 classes; map it to 255",
    ):
        confusion_matrix(np.array([[77, 7], [7, 7]], np.uint8), road, 34)
    for stray, dtype in ((40, np.uint8), (300, np.int64), (-1, np.int8), (2**40 + 7, np.uint64)):
        strays = np.full((2, 2), stray, dtype)
        with pytest.raises(InputError, match=rf"prediction holds id {stray} \(4 pixels\), which is not one"):
            confusion_matrix(road, strays, 34)
        with pytest.raises(InputError, match=rf"target holds id {stray} \(4 pixels\), which is not one"):
            confusion_matrix(strays, road, 34)
    with pytest.raises(InputError, match=r"holds id 255 .*; map it to -1 if it means void$"):
        confusion_matrix(np.full((2, 2), 255, np.int64), road, 34, ignore_id=-1)
    with pytest.raises(InputError, match=r"prediction holds id 255 .*; predict a class for every pixel"):
        confusion_matrix(road, np.full((2, 2), 255, np.uint8), 34)
    with pytest.raises(ValueError, match="prediction is a list: it must be a NumPy array"):
        confusion_matrix(road, road.tolist(), 34)
    with pytest.raises(
        ValueError, match=r"target is \(2, 2\), prediction is \(2, 1\): they must be the same size"
    ):
        confusion_matrix(road, road[:, :1], 34)
    with pytest.raises(InputError, match="target is float64; label maps hold whole numbers: convert it"):
        confusion_matrix(road.astype(float), road, 34)
    for wrong in (0, 256):
        with pytest.raises(ValueError, match=f"num_classes is {wrong}: it must be 1 to 255"):
            confusion_matrix(road, road, wrong)


def test_strays_where_nothing_is_known_do_no_harm() -> None:
    """Catches a prediction refused for what it says of void, and the wrong pixels counted in the message."""
    target = np.array([255, 255, 1, 0], np.uint8)
    assert confusion_matrix(target, np.array([9, 255, 1, 0], np.uint8), 2).trace() == 2
    with pytest.raises(InputError, match=r"prediction holds id 9 \(1 pixels\)"):
        confusion_matrix(target, np.array([9, 255, 1, 9], np.uint8), 2)


@pytest.mark.parametrize(("ignore_id", "dtype"), [(-1, np.int64), (-100, np.int16), (1000, np.uint16)])
def test_an_id_to_ignore_need_not_fit_in_a_byte(ignore_id: int, dtype: type) -> None:
    """Catches PyTorch's -100 refused, or 255 let through beside it."""
    target = np.array([0, ignore_id, 1, 1], dtype)
    np.testing.assert_array_equal(
        confusion_matrix(target, np.array([0, 0, 0, 1]), 2, ignore_id), [[1, 0], [1, 1]]
    )
    with pytest.raises(InputError, match=r"target holds id 255 \(1 pixels\)"):
        confusion_matrix(np.array([0, ignore_id, 1, 255], dtype), np.array([0, 0, 0, 1]), 2, ignore_id)


def test_the_id_to_ignore_may_be_a_class() -> None:
    """Catches 255 ignored whatever else was asked for, and a prediction of the ignored class that is lost."""
    target, predicted = np.array([0, 0, 1, 1, 2], np.uint8), np.array([0, 1, 0, 1, 1], np.uint8)
    np.testing.assert_array_equal(
        confusion_matrix(target, predicted, 3, ignore_id=0), [[0, 0, 0], [1, 1, 0], [0, 1, 0]]
    )
    np.testing.assert_array_equal(
        confusion_matrix(target, predicted, 3, ignore_id=0, count_others=True),
        [[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 0]],
    )
    with pytest.raises(InputError, match="target holds id 255"):
        confusion_matrix(np.array([255], np.uint8), np.array([0], np.uint8), 3, ignore_id=254)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16, np.uint64, ">i2"])
def test_other_integers_count_alike(dtype: type) -> None:
    """Catches labels from torch (int64) or in another byte order refused or misread."""
    target, predicted = random_maps(34)
    np.testing.assert_array_equal(
        confusion_matrix(target.astype(dtype), predicted.astype(dtype), 34),
        confusion_matrix(target, predicted, 34),
    )


def test_any_layout_in_memory_counts_alike(tmp_path: Path) -> None:
    """Catches pixels paired in the order of memory: transposed, mapped, strided, at an odd place."""
    target, predicted = random_maps(34)
    expected = confusion_matrix(target, predicted, 34)
    np.save(tmp_path / "maps.npy", np.stack([target, predicted]))
    mapped = np.load(tmp_path / "maps.npy", mmap_mode="r")
    np.testing.assert_array_equal(confusion_matrix(*mapped, 34), expected)
    np.testing.assert_array_equal(confusion_matrix(np.asfortranarray(target), predicted, 34), expected)
    np.testing.assert_array_equal(confusion_matrix(target.T, predicted.T, 34), expected)
    np.testing.assert_array_equal(confusion_matrix(target[::-1], predicted[::-1], 34), expected)
    shifted = np.frombuffer(b"x" + target.tobytes(), np.uint8)[1:].reshape(target.shape)
    np.testing.assert_array_equal(confusion_matrix(shifted, predicted, 34), expected)
    parts = [confusion_matrix(target[:, k::2], predicted[:, k::2], 34) for k in (0, 1)]
    np.testing.assert_array_equal(sum(parts), expected)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 255), st.integers(0, 300), st.integers(1, 90))
def test_the_compiled_kernel_agrees_with_numpy(seed: int, classes: int, pixels: int, run: int) -> None:
    """Peer. Catches runs counted once, a rest after the last block lost, and keys beyond their 16 bits."""
    rng = np.random.default_rng(seed)
    pair = (np.repeat(rng.integers(0, 256, pixels, dtype=np.uint8), run)[:pixels] for _ in range(2))
    target, predicted = pair
    np.testing.assert_array_equal(
        count_pairs(target, predicted, classes), count_pairs_by_numpy(target, predicted, classes)
    )


def test_more_pixels_than_are_counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a part that is left out or counted twice."""
    target, predicted = random_maps(34)
    expected = confusion_matrix(target, predicted, 34)
    monkeypatch.setattr(counting, "_AT_ONCE", 100)
    np.testing.assert_array_equal(confusion_matrix(target, predicted, 34), expected)


def test_without_numba_numpy_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an import that fails where the optional library is missing."""
    target, predicted = random_maps(34)
    expected = confusion_matrix(target, predicted, 34)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "segspade_core.compiled", raising=False)
    monkeypatch.delitem(sys.modules, "segspade_core.metrics.kernels", raising=False)
    monkeypatch.delattr("segspade_core.metrics.kernels", raising=False)
    assert load_kernels("segspade_core.metrics") is None
    np.testing.assert_array_equal(confusion_matrix(target, predicted, 34), expected)


def test_groups_are_counted_as_if_relabelled_first() -> None:
    """Peer: counting the groups' ids on the pixels. Catches a class in the wrong group, or lost."""
    target, predicted = random_maps(6)
    table = np.array([1, 0, 1, 255, 2, 0], np.uint8)
    grouped = group_classes(confusion_matrix(target, predicted, 6), table, 3)
    expected = confusion_matrix(table[target], table[predicted], 3, count_others=True)
    np.testing.assert_array_equal(grouped, expected)
    signed = np.where(table == 255, -1, table.astype(int))
    np.testing.assert_array_equal(group_classes(confusion_matrix(target, predicted, 6), signed, 3), expected)


def random_maps(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Two (37, 64) uint8 maps of areas and single pixels."""
    rng = np.random.default_rng(classes)
    areas = np.repeat(rng.integers(0, classes, (37, 4), dtype=np.uint8), 16, axis=1)
    noise = rng.integers(0, classes, areas.shape, dtype=np.uint8)
    return areas, np.where(rng.random(areas.shape) < 0.8, areas, noise)
