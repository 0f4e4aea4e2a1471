"""Distances of sets of features against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from segspade_core.metrics.distances import frechet_distance, kernel_distance


def features(seed: int, count: int, size: int, shift: float = 0.0) -> np.ndarray:
    """(count, size) float32, each column of a spread of its own, some of them going together."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(count, size)) @ random.normal(size=(size, size))
    return (mixed * np.linspace(0.2, 2, size) + shift).astype(np.float32)


def frechet_by_definition(first: np.ndarray, second: np.ndarray) -> float:
    """Equation 6 of Heusel et al., with the square root of a matrix."""
    a, b = first.astype(float), second.astype(float)
    root = scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False))
    apart = a.mean(0) - b.mean(0)
    return float(
        apart @ apart + np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * np.real(root))
    )


def kernel_by_loops(first: np.ndarray, second: np.ndarray) -> float:
    """Equation 4 of Bińkowski et al., a pair at a time, without the pairs of one image with itself."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x.astype(float) @ y.astype(float) / len(x) + 1) ** 3)

    def within(rows: np.ndarray) -> float:
        count = len(rows)
        pairs = [kernel(rows[i], rows[j]) for i in range(count) for j in range(count) if i != j]
        return sum(pairs) / (count * (count - 1))

    across = [kernel(x, y) for x in first for y in second]
    return within(first) + within(second) - 2 * sum(across) / len(across)


@pytest.mark.parametrize("counts", [(40, 60), (200, 50)])
def test_frechet_is_that_of_the_definition(counts: tuple[int, int]) -> None:
    """Fault: variances taken for covariances, the means forgotten, or float32 rounding."""
    first, second = features(1, counts[0], 6), features(2, counts[1], 6, shift=0.7)
    expected = frechet_by_definition(first, second)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-6)


def test_turning_to_the_spanned_axes_changes_nothing() -> None:
    """Fault: a rotation that loses a direction, where there are fewer images than features.

    The library's own result is only so exact: it takes roots of 60 eigenvalues that should be 0.
    """
    first, second = features(3, 9, 80), features(4, 11, 80, shift=0.3)
    statistics = [fid_features_to_statistics(torch.from_numpy(x.astype(float))) for x in (first, second)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-5)


def test_by_hand_in_one_dimension_and_a_shift() -> None:
    """(1 - 4)² + (s - 2 s)² where the second is twice the first, plus 2: by hand, with s² = 4/2 = 2."""
    first = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]], np.float32)
    second = first * 2 + np.array([2.0, 0.0], np.float32)
    # mean 1 and 4, variance 1 and 4
    assert frechet_distance(first, second) == pytest.approx(9 + 1 + 4 - 2 * 2)
    assert frechet_distance(first, first + np.float32(3)) == pytest.approx(18)


def test_the_same_set_has_no_distance() -> None:
    """Fault: rounding that makes a distance negative, and a kernel distance that counts diagonals."""
    rows = features(5, 30, 50)
    assert 0 <= frechet_distance(rows, rows) < 1e-5
    assert frechet_distance(rows, rows[::-1]) < 1e-5
    # unbiased, so below 0 for the same set: the diagonal is in one of its three terms alone
    assert kernel_distance(rows, rows).mean < 0


def test_kernel_distance_is_that_of_the_definition() -> None:
    """Fault: another power, another scale of the kernel, or the biased estimate."""
    first, second = features(6, 12, 5), features(7, 12, 5, shift=0.4)
    found = kernel_distance(first, second)
    assert found.mean == pytest.approx(kernel_by_loops(first, second), rel=1e-9)
    assert (found.subsets, found.subset_size, found.std) == (1, 12, 0.0)


def test_subsets_are_drawn_by_the_seed_and_never_too_large() -> None:
    """Fault: subsets larger than a set, one subset where there are several to draw, or an open seed."""
    first, second = features(8, 30, 5) / 5, features(9, 20, 5, shift=5) / 5
    found = kernel_distance(first, second, subsets=40, subset_size=1000)
    assert (found.subsets, found.subset_size) == (40, 20)
    assert found.std > 0
    assert found == kernel_distance(first, second, subsets=40, subset_size=1000)
    other = kernel_distance(first, second, subsets=40, subset_size=1000, seed=1)
    assert other.mean != found.mean
    # a mean over subsets of the first set, and always all of the second
    assert other.mean == pytest.approx(kernel_by_loops(first, second), rel=0.1)
