"""Boundaries of classes against distance transforms, by properties and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import distance_transform_edt

from segspade_core.metrics.boundaries import boundary_f1, boundary_map, tolerance_px
from segspade_core.metrics.class_boundaries import BoundaryCounts, boundary_counts, count_by_trees

C = 3
maps = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9).flatmap(
    lambda size: st.tuples(*[arrays(np.uint8, size, elements=st.integers(0, C - 1))] * 2)
)
tolerances = st.sampled_from([0, 0.1, 0.2, 0.5])
quick = settings(max_examples=80, deadline=None)


def fields(counts: BoundaryCounts) -> list[list[int]]:
    return [values.tolist() for values in vars(counts).values()]


def counts_by_transforms(pair: tuple[np.ndarray, np.ndarray], tolerance: float) -> list[list[int]]:
    """One class after the other, on whole images, as the source tells it."""
    rows = []
    reach = tolerance * math.hypot(*pair[0].shape)
    for label in range(C):
        true, found = (boundary_map(ids == label) for ids in pair)
        row: list[int] = []
        for these, those in ((true, found), (found, true)):
            near = distance_transform_edt(~those) <= reach if those.any() else np.zeros_like(those)
            row += [int(these.sum()), int((these & near).sum())]
        rows.append(row)
    return np.transpose(rows).tolist()


@quick
@given(maps, tolerances)
def test_agrees_with_distance_transforms(pair: tuple[np.ndarray, np.ndarray], tolerance: float) -> None:
    """Peer. Catches precision and recall exchanged, a tolerance in other units or exclusive, half a rim."""
    assert fields(boundary_counts(*pair, C, tolerance)) == counts_by_transforms(pair, tolerance)


@quick
@given(maps, maps)
def test_counts_of_images_add(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> None:
    """Catches a ratio kept in place of its counts."""
    one, other = boundary_counts(*first, C, 0.2), boundary_counts(*second, C, 0.2)
    expected = [
        [a + b for a, b in zip(*rows, strict=True)] for rows in zip(fields(one), fields(other), strict=True)
    ]
    assert fields(one + other) == expected


@quick
@given(maps, st.permutations(range(C)))
def test_neither_names_nor_mirrors_matter(pair: tuple[np.ndarray, np.ndarray], names: list[int]) -> None:
    """Catches classes that are told apart by their order."""
    table = np.array(names, np.uint8)
    renamed = boundary_counts(*[table[ids][:, ::-1] for ids in pair], C, 0.2)  # type: ignore[arg-type]
    for name, values in vars(boundary_counts(*pair, C, 0.2)).items():
        np.testing.assert_array_equal(getattr(renamed, name)[table], values)


def test_two_classes_share_the_boundary_of_the_map() -> None:
    """Peer: the F1 over all classes at once, which is the same where there are two of them."""
    rng = np.random.default_rng(0)
    target, predicted = np.repeat(np.repeat(rng.integers(0, 2, (2, 8, 12), dtype=np.uint8), 5, 1), 5, 2)
    counts = boundary_counts(target, predicted, 2)
    expected = boundary_f1(target, predicted, 0.0075 * math.hypot(*target.shape))
    assert counts.f1.tolist() == pytest.approx([expected] * 2)
    assert counts.mean_f1 == pytest.approx(expected)


def test_by_hand() -> None:
    """Catches classes without boundaries that count, and a false class that does not.

    4 rows of 12 columns: an edge of classes 0 and 1 at column 4, predicted at 6, where the diagonal is
    sqrt(160) and a tolerance of 1.5 pixels matches one of two columns on either side. Class 2 is predicted
    nowhere, class 3 at the lower right corner only, whose pixel has two neighbours.
    """
    target, predicted = np.zeros((2, 4, 12), np.uint8)
    target[:, 4:] = 1
    predicted[:, 6:] = 1
    counts = boundary_counts(target, predicted, 3, 1.5 / math.sqrt(160))
    assert fields(counts) == [[8, 8, 0], [4, 4, 0], [8, 8, 0], [4, 4, 0]]
    assert counts.precision.tolist()[:2] == counts.recall.tolist()[:2] == counts.f1.tolist()[:2] == [0.5, 0.5]
    assert math.isnan(counts.f1[2])
    assert counts.mean_f1 == 0.5
    predicted[3, 11] = 3
    counts = boundary_counts(target, predicted, 4, 1.5 / math.sqrt(160))
    assert counts.predicted.tolist() == [8, 11, 0, 3]
    assert counts.precision[3] == counts.f1[3] == 0
    assert math.isnan(counts.recall[3])
    assert counts.mean_f1 == pytest.approx((0.5 + 2 * (4 / 11) * 0.5 / (4 / 11 + 0.5) + 0) / 3)


def test_precision_is_of_predicted_and_recall_of_true_boundaries() -> None:
    """Catches matches of one map over pixels of the other.

    An edge at column 4, predicted as a stripe one column wide: 3 columns of boundary, all within one pixel of
    the true 2. With no tolerance 2 of the 3 are right.
    """
    target, predicted = np.zeros((2, 4, 12), np.uint8)
    target[:, 4:] = 1
    predicted[:, 4] = 1
    near, exact = (boundary_counts(target, predicted, 2, reach / math.sqrt(160)) for reach in (1.5, 0))
    assert fields(near) == [[8, 8], [8, 8], [12, 12], [12, 12]]
    assert near.precision.tolist() == near.recall.tolist() == [1, 1]
    assert exact.recall.tolist() == [1, 1]
    assert exact.precision.tolist() == [2 / 3, 2 / 3]


def test_there_is_no_boundary_where_nothing_is_known() -> None:
    """Catches the rim of void taken for the boundary of a class, in either map."""
    target = np.array([[0, 0, 255, 1, 1, 2, 2]], np.uint8)
    predicted = np.array([[0, 1, 1, 1, 1, 2, 2]], np.uint8)
    counts = boundary_counts(target, predicted, 3, 0)
    assert counts.target.tolist() == [0, 2, 2]
    assert counts.predicted.tolist() == [2, 4, 2]
    as_void = boundary_counts(np.where(target == 255, 0, target), predicted, 3, 0, void=(0,))
    assert as_void.target.tolist() == [0, 2, 2]
    assert as_void.predicted.tolist() == [0, 2, 2]


def test_ids_that_are_no_class_bound_the_classes_beside_them() -> None:
    """Catches an index out of range, and a predicted hole that is not seen."""
    target = np.zeros((1, 4), np.uint8)
    counts = boundary_counts(target, np.array([[0, 0, 200, 200]], np.uint8), 2)
    assert counts.predicted.tolist() == [2, 0]
    assert counts.f1[0] == 0


def test_sizes_must_agree() -> None:
    """Catches an error from deep within numpy."""
    with pytest.raises(
        ValueError, match=r"target is \(2, 2\), prediction is \(2, 3\): both must be \(H, W\)"
    ):
        boundary_counts(np.zeros((2, 2), int), np.zeros((2, 3), int), 3)


@pytest.mark.parametrize("tolerance", [0, 0.01, 0.03, 0.2])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_kernels_count_what_trees_count(tolerance: float, dtype: type) -> None:
    """Peer. Catches a step too far or too short, bits exchanged, void or strays as classes."""
    rng = np.random.default_rng(3)
    strays = [255, 200] if dtype is np.uint8 else [255, 1000, -1]
    target, predicted = (
        rng.choice([*range(64), *strays[:size]], (2, 12, 16)).astype(dtype).repeat(5, 1).repeat(3, 2)[0]
        for size in (1, 3)
    )
    predicted = np.where(rng.random(target.shape) < 0.6, np.roll(target, 2, 1), predicted)
    known = ~np.isin(target, [0, 3, 255])
    reach_px = tolerance_px((60, 48), tolerance)
    labels = [label for label in range(64) if label not in (0, 3)]
    wanted = count_by_trees(target, predicted, known, 64, labels, reach_px)
    assert fields(boundary_counts(target, predicted, 64, tolerance, void=(0, 3))) == fields(wanted)
    assert wanted.target_matched.sum() > 0


def test_without_numba_and_with_many_classes_trees_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a 65th class whose bit there is no room for, and a machine without Numba that has no score."""
    rng = np.random.default_rng(4)
    target, predicted = rng.integers(0, 64, (2, 20, 30), dtype=np.uint8)
    few = fields(boundary_counts(target, predicted, 64, 0.05))
    many = fields(boundary_counts(target, predicted, 200, 0.05))
    assert [row[:64] for row in many] == few
    monkeypatch.setattr("segspade_core.metrics.class_boundaries.load_kernels", lambda _: None)
    assert fields(boundary_counts(target, predicted, 64, 0.05)) == few
