"""Calibration against torchmetrics, by properties and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchmetrics.functional.classification import multiclass_calibration_error

from segspade_core.errors import InputError
from segspade_core.metrics.calibration import (
    ReliabilityHistogram,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
    reliability_of_bytes,
    reliability_of_probabilities,
)

confidences = arrays(np.float32, 12, elements=st.floats(0, 1, width=32))
answers = arrays(bool, 12)
quick = settings(max_examples=60, deadline=None)


def fields(histogram: ReliabilityHistogram) -> list[list[int]]:
    return [histogram.count.tolist(), histogram.confidence.tolist(), histogram.correct.tolist()]


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_agrees_with_torchmetrics(bins: int) -> None:
    """Peer. Catches void that counts, bins weighted alike, and the confidence of the true class."""
    rng = np.random.default_rng(bins)
    logits = rng.normal(size=(2, 5, 20, 30)).astype(np.float32) * 2
    probs = torch.from_numpy(logits).softmax(1)
    target = rng.integers(0, 5, (2, 20, 30))
    target[:, :4] = 255
    histogram = reliability_of_probabilities(probs.numpy(), target, bins)
    assert histogram.count.sum() == 2 * 16 * 30

    def peer(norm: str) -> float:
        found = multiclass_calibration_error(probs, torch.from_numpy(target), 5, bins, norm, ignore_index=255)  # type: ignore[arg-type]
        return float(found)

    # it adds up in float32
    assert expected_calibration_error(histogram) == pytest.approx(peer("l1"), abs=1e-5)
    assert maximum_calibration_error(histogram) == pytest.approx(peer("max"), abs=1e-5)


def test_by_hand() -> None:
    """Catches a signed gap, and bins weighted alike.

    Two bins. At most 0.5: 0.25 and 0.5, one right: gap |1/2 - 3/8| = 1/8. Above: 0.75, 0.75, 1, 1, one right:
    gap |1/4 - 7/8| = 5/8. Expected (2 * 1/8 + 4 * 5/8) / 6 = 11/24.
    """
    confidence = np.array([0.25, 0.5, 0.75, 0.75, 1, 1])
    histogram = reliability(confidence, np.array([True, False, True, False, False, False]), 2)
    assert histogram.count.tolist() == [2, 4]
    assert histogram.mean_confidence.tolist() == [3 / 8, 7 / 8]
    assert histogram.accuracy.tolist() == [1 / 2, 1 / 4]
    assert expected_calibration_error(histogram) == pytest.approx(11 / 24)
    assert maximum_calibration_error(histogram) == 5 / 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bins", [15, 25])
def test_a_bin_has_its_upper_edge_and_not_its_lower(dtype: type, bins: int) -> None:
    """Catches edges that rounding moves (7 / 25 * 25 is above 7), 0 in no bin and 1 in a bin too many."""
    edges = (np.arange(bins + 1) / bins).astype(dtype)
    index = [int(reliability(edge[None], np.array([True]), bins).count.argmax()) for edge in edges]
    assert index == [0, *range(bins)]
    above = np.nextafter(edges[1:-1], dtype(1))
    assert reliability(above, np.ones(bins - 1, bool), bins).count.tolist() == [0, *[1] * (bins - 1)]


@quick
@given(confidences, answers, confidences, answers)
def test_histograms_add_exactly(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> None:
    """Catches sums that depend on the order of shards."""
    first, second = reliability(a, b), reliability(c, d)
    together = reliability(np.concatenate([c, a]), np.concatenate([d, b]))
    assert fields(first + second) == fields(second + first) == fields(together)


@quick
@given(confidences, answers, st.integers(1, 20))
def test_agrees_with_a_loop_over_bins(confidence: np.ndarray, correct: np.ndarray, bins: int) -> None:
    """Peer: the definition. Catches sums of the wrong pixels."""
    histogram = reliability(confidence, correct, bins)
    error = 0.0
    for index in range(bins):
        inside = (confidence > np.float32(index / bins)) & (confidence <= np.float32((index + 1) / bins))
        inside |= (confidence == 0) & (index == 0)
        assert histogram.count[index] == inside.sum()
        if inside.any():
            gap = abs(correct[inside].mean() - confidence[inside].astype(float).mean())
            error += inside.mean() * gap
    assert expected_calibration_error(histogram) == pytest.approx(error, abs=1e-6)


def test_void_does_not_count() -> None:
    """Catches void pixels that count as mistakes."""
    probs = np.array([[0.8, 0.6, 0.3], [0.2, 0.4, 0.7]], np.float32)[None]  # (1, C, 3)
    target = np.array([[0, 255, 1]])
    assert reliability_of_probabilities(probs, target).count.sum() == 2
    assert reliability_of_probabilities(probs, target, void=(1,)).count.sum() == 1
    assert reliability_of_probabilities(probs, target, ignore_id=0, void=(1,)).count.sum() == 1
    right = reliability_of_probabilities(probs, target, 1)
    assert right.correct.tolist() == [2]
    assert right.mean_confidence[0] == pytest.approx(0.75)


def test_nothing_to_count() -> None:
    """Catches a perfect score for no answer, and a division by zero, which is a warning and so an error."""
    nothing = reliability(np.zeros(0), np.zeros(0, bool))
    assert math.isnan(expected_calibration_error(nothing))
    assert math.isnan(maximum_calibration_error(nothing))


def test_says_what_is_wrong() -> None:
    """Catches logits taken for probabilities, and NaN in the last bin."""
    with pytest.raises(
        InputError,
        match=r"confidence holds 3.25 \(1 of 2 pixels\), which is no probability in \[0, 1\]; turn logits",
    ):
        reliability(np.array([0.5, 3.25]), np.array([True, True]))
    with pytest.raises(InputError, match="confidence holds nan"):
        reliability(np.array([math.nan]), np.array([True]))
    with pytest.raises(ValueError, match=r"confidence is \(2,\), correct is \(1,\)"):
        reliability(np.zeros(2), np.zeros(1, bool))
    with pytest.raises(ValueError, match="bins is 0: it must be 1 or more"):
        reliability(np.zeros(1), np.zeros(1, bool), 0)
    with pytest.raises(ValueError, match=r"probs is \(1, 3, 2\), target is \(3, 2\): give \(B, C, …\)"):
        reliability_of_probabilities(np.zeros((1, 3, 2)), np.zeros((3, 2), int))
    with pytest.raises(ValueError, match="histograms of 15 and 10 bins do not add"):
        reliability(np.zeros(1), np.zeros(1, bool)) + reliability(np.zeros(1), np.zeros(1, bool), 10)


@given(arrays(np.uint8, 20), arrays(bool, 20), st.integers(1, 30))
@quick
def test_bytes_are_counted_as_the_fractions_they_stand_for(
    confidence: np.ndarray, correct: np.ndarray, bins: int
) -> None:
    """Peer. Catches a byte at a bin's edge in the next bin (51 is the first of five), and 256 for 255."""
    found = reliability_of_bytes(confidence, correct, bins)
    assert fields(found) == fields(reliability(confidence / 255, correct, bins))


def test_bytes_at_every_edge() -> None:
    """Catches edges that hypothesis does not meet: with 15 and 17 bins every 17th or 15th byte is one."""
    levels = np.arange(256, dtype=np.uint8)
    for bins in (1, 3, 5, 15, 17, 51, 255):
        right = levels % 3 == 0
        assert fields(reliability_of_bytes(levels, right, bins)) == fields(
            reliability(levels / 255, right, bins)
        )


def test_bytes_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^confidence is \(2,\), correct is \(1,\): they must be the same"):
        reliability_of_bytes(np.zeros(2, np.uint8), np.zeros(1, bool))
    with pytest.raises(ValueError, match=r"^bins is 0: it must be 1 or more$"):
        reliability_of_bytes(np.zeros(1, np.uint8), np.zeros(1, bool), 0)
