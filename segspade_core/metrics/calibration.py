"""Whether a model that says it is 80 % sure is right four times in five.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.errors import InputError
from segspade_core.labels import IGNORE_ID
from segspade_core.metrics.ratios import Fractions, ratio

# confidences are kept as whole numbers of this unit, the precision of float32 below 1: sums are then the same
# in whatever order shards are added
_UNIT = 2.0**-24


@dataclass(frozen=True, eq=False)
class ReliabilityHistogram:
    """Predictions by confidence, in M bins of equal width. Histograms of disjoint sets of pixels add.

    Attributes:
        count: (M,) int64, predictions in each bin ((m - 1) / M, m / M]; the first has 0 too.
        confidence: (M,) int64, sum of their confidences in units of 2^-24.
        correct: (M,) int64, how many of them are right.
    """

    count: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.int64]
    correct: npt.NDArray[np.int64]

    def __add__(self, other: ReliabilityHistogram) -> ReliabilityHistogram:
        if len(self.count) != len(other.count):
            raise ValueError(f"histograms of {len(self.count)} and {len(other.count)} bins do not add")
        return ReliabilityHistogram(
            self.count + other.count, self.confidence + other.confidence, self.correct + other.correct
        )

    @property
    def mean_confidence(self) -> Fractions:
        """(M,) float64 in [0, 1]; NaN for an empty bin."""
        return ratio(self.confidence * _UNIT, self.count)

    @property
    def accuracy(self) -> Fractions:
        """(M,) float64 in [0, 1]; NaN for an empty bin."""
        return ratio(self.correct, self.count)


def reliability(
    confidence: npt.NDArray[Any], correct: npt.NDArray[np.bool_], bins: int = 15
) -> ReliabilityHistogram:
    """Sort predictions into bins by their confidence.

    Args:
        confidence: (…) float in [0, 1]: the probability of the predicted class.
        correct: bool, of the same shape: whether that class is the true one.
        bins: M, 1 or more.

    Raises:
        InputError: a confidence is no probability.
        ValueError: shapes differ, or there is no bin.
    """
    _check(confidence, correct, bins)
    confidence, correct = np.ravel(confidence), np.ravel(correct).astype(bool)
    if not np.issubdtype(confidence.dtype, np.floating):
        confidence = confidence.astype(np.float64)
    strays = confidence[~((confidence >= 0) & (confidence <= 1))]
    if strays.size:
        raise InputError(
            f"confidence holds {strays[0]:.4g} ({strays.size} of {confidence.size} pixels), which is no "
            "probability in [0, 1]; turn logits into probabilities first"
        )
    # by comparison with the bins' edges: multiplied and rounded, 7 / 25 lands above the 7th of 25
    edges = np.arange(1, bins) / bins
    index = np.searchsorted(edges.astype(confidence.dtype), confidence, side="left")
    whole = np.rint(confidence.astype(np.float64) / _UNIT)
    return ReliabilityHistogram(
        np.bincount(index, minlength=bins),
        np.bincount(index, weights=whole, minlength=bins).astype(np.int64),
        np.bincount(index[correct], minlength=bins),
    )


def _check(confidence: npt.NDArray[Any], correct: npt.NDArray[Any], bins: int) -> None:
    if confidence.shape != correct.shape:
        raise ValueError(
            f"confidence is {confidence.shape}, correct is {correct.shape}: they must be the same size"
        )
    if bins < 1:
        raise ValueError(f"bins is {bins}: it must be 1 or more")


def reliability_of_bytes(
    confidence: npt.NDArray[np.uint8], correct: npt.NDArray[np.bool_], bins: int = 15
) -> ReliabilityHistogram:
    """The same of confidences that are kept in a byte each: k stands for k / 255.

    Args:
        confidence: (…) uint8.
        correct: bool, of the same shape.
        bins: M, 1 or more.

    Raises:
        ValueError: shapes differ, or there is no bin.
    """
    _check(confidence, correct, bins)
    every, right = (
        np.bincount(values.ravel(), minlength=256) for values in (confidence, confidence[correct])
    )
    levels = np.arange(256)
    index = np.maximum(-(-levels * bins // 255) - 1, 0)  # whole numbers: no edge of a bin is rounded
    whole = np.rint(levels / 255 / _UNIT).astype(np.int64)

    def gathered(weights: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        total = np.zeros(bins, np.int64)
        np.add.at(total, index, weights)
        return total

    return ReliabilityHistogram(gathered(every), gathered(every * whole), gathered(right))


def reliability_of_probabilities(
    probs: npt.NDArray[Any],
    target: npt.NDArray[Any],
    bins: int = 15,
    ignore_id: int = IGNORE_ID,
    *,
    void: Sequence[int] = (),
) -> ReliabilityHistogram:
    """The same of the most probable class, without the pixels whose target is unknown.

    Args:
        probs: (B, C, …) float: the probability of each class; the first of equal ones counts as predicted.
        target: (B, …) integer classes, `ignore_id`, or one of `void`.
        bins: M.
        ignore_id: stands for "unknown".
        void: classes that say "unknown" too.

    Raises:
        InputError: a value is no probability.
        ValueError: shapes do not go together.
    """
    if probs.ndim < 2 or (probs.shape[0], *probs.shape[2:]) != target.shape:
        raise ValueError(f"probs is {probs.shape}, target is {target.shape}: give (B, C, …) and (B, …)")
    known = ~np.isin(target, [*void, ignore_id])
    return reliability(probs.max(axis=1)[known], (probs.argmax(axis=1) == target)[known], bins)


def expected_calibration_error(histogram: ReliabilityHistogram) -> float:
    """Mean over predictions of |accuracy - confidence| of their bin, in [0, 1]; NaN without predictions.

    Source: Guo et al., section 2, "Expected Calibration Error", estimated from bins.
    """
    total = int(histogram.count.sum())
    if not total:
        return float("nan")
    return float((histogram.count * _gaps(histogram)).sum() / total)


def maximum_calibration_error(histogram: ReliabilityHistogram) -> float:
    """The largest |accuracy - confidence| of a bin with predictions, in [0, 1]; NaN without any.

    Source: Guo et al., section 2, "Maximum Calibration Error", over the bins that are not empty.
    """
    return float(_gaps(histogram).max()) if histogram.count.any() else float("nan")


def _gaps(histogram: ReliabilityHistogram) -> Fractions:
    """(M,) |accuracy - confidence|; 0 for an empty bin."""
    return np.nan_to_num(np.abs(histogram.accuracy - histogram.mean_confidence))
