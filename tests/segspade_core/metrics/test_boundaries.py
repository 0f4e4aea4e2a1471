"""Boundaries against loops over pixels, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from segspade_core.metrics.boundaries import (
    boundary_f1,
    boundary_length,
    boundary_length_ratio,
    boundary_map,
    tolerance_px,
)

maps = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7).flatmap(
    lambda size: st.tuples(*[arrays(np.uint8, size, elements=st.integers(0, 2))] * 2)
)
quick = settings(max_examples=80, deadline=None)


def boundary_by_loops(labels: np.ndarray) -> set[tuple[int, int]]:
    height, width = labels.shape
    return {
        (y, x)
        for y, x in np.ndindex(height, width)
        for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        if 0 <= ny < height and 0 <= nx < width and labels[ny, nx] != labels[y, x]
    }


def f1_by_loops(target: np.ndarray, predicted: np.ndarray, tolerance: float) -> float:
    true, found = boundary_by_loops(target), boundary_by_loops(predicted)
    if not true or not found:
        return float(bool(true) == bool(found))

    def share(these: set[tuple[int, int]], those: set[tuple[int, int]]) -> float:
        return sum(any(math.dist(a, b) <= tolerance for b in those) for a in these) / len(these)

    precision, recall = share(found, true), share(true, found)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@quick
@given(maps, st.sampled_from([0, 1, 1.5, 2, 3]))
def test_f1_agrees_with_loops(pair: tuple[np.ndarray, np.ndarray], tolerance: float) -> None:
    """Catches a tolerance by the wrong distance, and precision or recall measured in the wrong map."""
    assert boundary_f1(*pair, tolerance) == pytest.approx(f1_by_loops(*pair, tolerance))


@quick
@given(maps)
def test_map_and_length_agree_with_loops(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Catches one side of a boundary, or one direction, left out."""
    labels = pair[0]
    assert set(map(tuple, np.argwhere(boundary_map(labels)).tolist())) == boundary_by_loops(labels)
    assert boundary_length(labels) == sum(
        labels[at] != labels[at[0] + dy, at[1] + dx]
        for at in np.ndindex(*labels.shape)
        for dy, dx in ((1, 0), (0, 1))
        if at[0] + dy < labels.shape[0] and at[1] + dx < labels.shape[1]
    )


@quick
@given(maps, st.permutations([0, 1, 2]))
def test_neither_names_nor_mirrors_matter(pair: tuple[np.ndarray, np.ndarray], names: list[int]) -> None:
    """Catches differences of numbers taken for differences of labels, and a lopsided boundary."""
    renamed = [np.array(names, np.uint8)[labels][:, ::-1] for labels in pair]
    assert boundary_f1(*renamed, 1) == pytest.approx(boundary_f1(*pair, 1))
    assert boundary_length(renamed[0]) == boundary_length(pair[0])


def test_by_hand() -> None:
    """A block of 2x2 in 4x4 has 8 sides; 4 pixels inside and 8 outside touch them. Its corners touch none."""
    labels = np.zeros((4, 4), np.uint8)
    labels[1:3, 1:3] = 9
    assert boundary_length(labels) == 8
    assert boundary_map(labels).sum() == 12
    assert not boundary_map(labels)[0, 0]


def test_a_boundary_moved_within_the_tolerance_is_found() -> None:
    """Catches an exclusive tolerance: an edge moved by two columns is at distance 1 to 2 of the other's."""
    true, moved = np.zeros((2, 6, 12), np.uint8)
    true[:, 4:] = 1
    moved[:, 6:] = 1
    assert boundary_f1(true, moved, 2) == 1
    assert boundary_f1(true, moved, 1) == 0.5
    assert boundary_f1(true, moved, 0) == 0


def test_maps_without_boundaries() -> None:
    """Catches a mean of nothing, which warns."""
    plain, halves = np.zeros((2, 4, 4), np.uint8)
    halves[2:] = 1
    assert boundary_f1(plain, plain, 1) == 1
    assert boundary_f1(plain, halves, 1) == 0
    assert boundary_f1(halves, plain, 1) == 0
    assert math.isnan(boundary_length_ratio(plain, halves))
    assert boundary_length_ratio(halves, plain) == 0


def test_the_ratio_is_of_the_second_to_the_first() -> None:
    """Catches the ratio upside down: a comb of 3 teeth softened to one edge has a third of its length."""
    comb, soft = np.zeros((2, 4, 4), np.uint8)
    comb[:, 1::2] = 1
    soft[:, 2:] = 1
    assert boundary_length_ratio(comb, soft) == pytest.approx(1 / 3)


def test_tolerance_is_a_fraction_of_the_diagonal() -> None:
    """Catches a fraction of height or width: a 300x400 image has a diagonal of 500."""
    assert tolerance_px((300, 400), 0.01) == pytest.approx(5)


def test_sizes_must_agree() -> None:
    """Catches an error from deep within numpy."""
    with pytest.raises(
        ValueError, match=r"target is \(2, 2\), predicted is \(2, 3\): they must be the same size"
    ):
        boundary_f1(np.zeros((2, 2)), np.zeros((2, 3)), 1)
