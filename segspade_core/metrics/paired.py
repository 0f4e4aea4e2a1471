"""Is one segmenter better than another? Both are scored on the same samples, which are drawn again and again.

mIoU is no mean over samples, so its spread cannot be read off theirs. The bootstrap draws whole samples with
replacement, sums their counts and scores the sums; drawing the same samples for both models takes out what is
easy or hard for both.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, sections 8.3 and 13.3 (percentiles).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segspade_core.metrics.confusion import Counts

Floats = npt.NDArray[np.float64]
_DRAWS_AT_ONCE = 2**22  # numbers, 32 MB


@dataclass(frozen=True)
class PairedScore:
    """Scores of two models on the same samples, as fractions in [0, 1].

    Attributes:
        champion, challenger: of all samples together.
        difference: challenger - champion.
        low, high: the interval of the difference.
        confidence: of the interval.
        samples, resamples: how many were scored, and how often they were drawn.
    """

    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    confidence: float
    samples: int
    resamples: int


def class_counts(confusion: Counts) -> Counts:
    """(C, C) or (C, C + 1) counts → (C, 3): pixels of each class that were found, that are, and were said."""
    size = len(confusion)
    return np.stack(
        [np.diagonal(confusion)[:size], confusion.sum(axis=1), confusion[:, :size].sum(axis=0)], axis=1
    )


def miou_of_counts(counts: npt.NDArray[np.generic]) -> Floats:
    """(..., C, 3) class counts → (...): mean IoU over the classes that are or were said; NaN without any."""
    hits, true, said = np.moveaxis(counts.astype(np.float64), -1, 0)
    union = true + said - hits
    there = union > 0
    iou = np.divide(hits, union, out=np.zeros_like(hits), where=there)
    found = there.sum(axis=-1)
    return np.divide(iou.sum(axis=-1), found, out=np.full(found.shape, np.nan), where=found > 0)


def accuracy_of_counts(counts: npt.NDArray[np.generic]) -> Floats:
    """(..., C, 3) class counts → (...): share of pixels whose class was found; NaN without any pixel."""
    hits, true, _ = np.moveaxis(counts.astype(np.float64), -1, 0)
    total = true.sum(axis=-1)
    return np.divide(hits.sum(axis=-1), total, out=np.full(total.shape, np.nan), where=total > 0)


def paired_bootstrap(
    champion: Counts,
    challenger: Counts,
    score: Callable[[npt.NDArray[np.generic]], Floats] = miou_of_counts,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedScore:
    """Score both models, and tell how sure their difference is.

    Args:
        champion: (N, C, 3) class counts of every sample.
        challenger: the same of the other model, on the same samples in the same order.
        score: of (..., C, 3) summed counts: `miou_of_counts` or `accuracy_of_counts`.
        resamples: how often N samples are drawn.
        confidence: of the interval, in (0, 1).
        seed: draws the samples; the same seed gives the same interval.

    Raises:
        ValueError: there are no samples, or the two models saw different ones.
    """
    if champion.shape != challenger.shape or champion.ndim != 3 or champion.shape[2] != 3:
        raise ValueError(f"counts of different samples: {champion.shape} and {challenger.shape}")
    if (champion[:, :, 1] != challenger[:, :, 1]).any():
        raise ValueError("the two models were not scored on the same true maps")
    count = len(champion)
    if not count:
        raise ValueError("no samples to compare the models on")
    whole = score(np.stack([champion, challenger]).sum(axis=1))
    counts = np.stack([champion, challenger], axis=1).reshape(count, -1).astype(np.float64)
    random = np.random.default_rng(seed)
    differences: list[Floats] = []
    chunk = max(1, _DRAWS_AT_ONCE // count)
    for start in range(0, resamples, chunk):
        # how often each sample is drawn; sums of counts stay below 2**53, where float64 is exact
        drawn = random.multinomial(count, np.full(count, 1 / count), size=min(chunk, resamples - start))
        sums = (drawn.astype(np.float64) @ counts).reshape(len(drawn), 2, *champion.shape[1:])
        scores = score(sums)
        differences.append(scores[:, 1] - scores[:, 0])
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(np.concatenate(differences), tails)
    return PairedScore(
        float(whole[0]), float(whole[1]), float(whole[1] - whole[0]), float(low), float(high), confidence,
        count, resamples,
    )  # fmt: skip
