"""Weights of classes from their pixels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segspade_core.segmentation.class_weights import class_weights, count_pixels

KINDS = ("none", "inverse_frequency", "effective_number")
counts_of_classes = st.lists(st.integers(0, 10**10), min_size=1, max_size=34).map(torch.tensor)


def test_weights_by_hand() -> None:
    """1/1, 1/2 and 1/4 have the mean 7/12; with beta 1/2, n pixels count as 2 (1 - 2^-n): 1, 3/2, 15/8."""
    counts = torch.tensor([1, 0, 2, 4])
    assert class_weights("none", counts).tolist() == [1, 1, 1, 1]
    expected = [12 / 7, 1, 6 / 7, 3 / 7]
    assert class_weights("inverse_frequency", counts).tolist() == pytest.approx(expected, rel=1e-6)
    raw = [1, 2 / 3, 8 / 15]
    mean = sum(raw) / 3
    expected = [raw[0] / mean, 1, raw[1] / mean, raw[2] / mean]
    assert class_weights("effective_number", counts, 0.5).tolist() == pytest.approx(expected, rel=1e-6)


@settings(deadline=None, max_examples=60)
@given(counts_of_classes, st.sampled_from(KINDS), st.sampled_from([0.0, 0.9, 1 - 1e-6, 1 - 1e-9]))
def test_what_is_there_has_mean_1_and_the_rarer_weighs_no_less(
    counts: torch.Tensor, kind: str, beta: float
) -> None:
    """Fault: absent classes in the mean, or with a weight of infinity or NaN; the order turned round."""
    weights = class_weights(kind, counts, beta)  # type: ignore[arg-type]
    there = counts > 0
    assert weights.dtype == torch.float32
    assert torch.isfinite(weights).all()
    assert (weights > 0).all()
    assert (weights[~there] == 1).all()
    if there.any():
        assert weights[there].mean().item() == pytest.approx(1, rel=1e-5)
        falling = weights[there][counts[there].argsort()]
        assert (falling.diff() <= 1e-6).all()


@pytest.mark.parametrize("beta", [0.9, 1 - 1e-9, 1 - 1e-13])
def test_the_effective_number_near_1_is_that_of_fractions(beta: float) -> None:
    """Peer: fractions, which round nothing. Fault: pixels in float32, where 1 - beta is 0."""
    exact = [(1 - Fraction(beta)) / (1 - Fraction(beta) ** n) for n in (1, 300)]
    mean = sum(exact) / 2
    found = class_weights("effective_number", torch.tensor([1, 300]), beta).tolist()
    assert found == pytest.approx([float(each / mean) for each in exact], rel=1e-6)


def test_effective_numbers_go_from_all_alike_to_the_inverse() -> None:
    """beta 0: every class counts once. beta towards 1: every pixel counts (Cui et al., section 3.2)."""
    counts = torch.tensor([10, 1000, 500])
    assert class_weights("effective_number", counts, 0.0).tolist() == [1, 1, 1]
    torch.testing.assert_close(
        class_weights("effective_number", counts, 1 - 1e-12), class_weights("inverse_frequency", counts)
    )


def test_pixels_are_counted_and_void_is_not() -> None:
    """Fault: 255 counted for the last class, or counts of the last map alone."""
    maps = [np.array([[0, 1, 255], [1, 3, 255]], np.uint8), np.array([[3, 7]], np.uint8)]
    counts = count_pixels(maps, 5)
    assert counts.dtype == torch.int64
    assert counts.tolist() == [1, 2, 0, 2, 0]
    assert count_pixels(iter(()), 2).tolist() == [0, 0]
