"""How well the boundary of each class is met, in counts that add.

Source: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013, the
contour-based score.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from segspade_core.kernels import load_kernels
from segspade_core.labels import IGNORE_ID
from segspade_core.metrics.boundaries import tolerance_px
from segspade_core.metrics.counting import Counts, as_codes
from segspade_core.metrics.ratios import Fractions, mean_of_known, ratio

_BITS = 64  # a bit a class: each pixel has one number that says which boundaries it is on


@dataclass(frozen=True, eq=False)
class BoundaryCounts:
    """Boundary pixels of each class, and how many have one of the other map near. Counts of images add.

    The source makes an F1 of every image and averages those; of one image's counts, `mean_f1` is its score.
    Of the sum over images, every boundary pixel weighs alike.

    Attributes:
        target: (C,) int64, pixels on true boundaries.
        target_matched: (C,) int64, those with a predicted one within the tolerance.
        predicted: (C,) int64, pixels on predicted boundaries.
        predicted_matched: (C,) int64, those with a true one within the tolerance.
    """

    target: Counts
    target_matched: Counts
    predicted: Counts
    predicted_matched: Counts

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(
            self.target + other.target,
            self.target_matched + other.target_matched,
            self.predicted + other.predicted,
            self.predicted_matched + other.predicted_matched,
        )

    @property
    def precision(self) -> Fractions:
        """(C,) share of predicted boundaries that are true; NaN for a class without any."""
        return ratio(self.predicted_matched, self.predicted)

    @property
    def recall(self) -> Fractions:
        """(C,) share of true boundaries that were predicted; NaN for a class without any."""
        return ratio(self.target_matched, self.target)

    @property
    def f1(self) -> Fractions:
        """(C,) 2 P R / (P + R); 0 where only one map has boundaries of the class, NaN where neither has."""
        both = np.nan_to_num(self.precision), np.nan_to_num(self.recall)
        f1 = np.nan_to_num(ratio(2 * both[0] * both[1], both[0] + both[1]))
        return np.where((self.target > 0) | (self.predicted > 0), f1, np.nan)

    @property
    def mean_f1(self) -> float:
        """Over the classes that have boundaries in either map; NaN where none has."""
        return mean_of_known(self.f1)


def boundary_counts(
    target: npt.NDArray[Any],
    prediction: npt.NDArray[Any],
    num_classes: int,
    tolerance: float = 0.0075,
    ignore_id: int = IGNORE_ID,
    *,
    void: Sequence[int] = (),
) -> BoundaryCounts:
    """Match the boundaries of each class in one image.

    Both sides of a change between 4-neighbours are boundary pixels, of both classes. Where the target is
    unknown at either side there is no boundary, in the prediction neither.

    Args:
        target: (H, W) integer classes, `ignore_id`, or one of `void`.
        prediction: (H, W) integer classes. Ids that are no class have no boundary of their own, but classes
            have one towards them.
        num_classes: C.
        tolerance: Euclidean distance as a fraction of the image's diagonal, inclusive (the source leaves
            pixels at that very distance out); its own is 0.0075.
        ignore_id: stands for "unknown" in the target.
        void: classes that say "unknown" too.

    Raises:
        ValueError: shapes differ, or are not (H, W).
    """
    if target.shape != prediction.shape or target.ndim != 2:
        raise ValueError(
            f"target is {target.shape}, prediction is {prediction.shape}: both must be (H, W), of one size"
        )
    height, width = target.shape
    reach_px = tolerance_px((height, width), tolerance)
    known = ~np.isin(target, [*void, ignore_id])
    labels = sorted(set(range(num_classes)) - {*void, ignore_id})
    kernels = load_kernels("segspade_core.metrics")
    if kernels is None or num_classes > _BITS:
        return count_by_trees(target, prediction, known, num_classes, labels, reach_px)
    bits = np.zeros(256, np.uint64)
    bits[labels] = np.uint64(1) << np.array(labels, np.uint64)
    reach = _steps_within(reach_px)
    true, found = np.zeros((2, height, width), np.uint64)
    for ids, marks in ((target, true), (prediction, found)):
        kernels.mark_boundaries(as_codes(ids).reshape(height, width), known, bits, marks)
    counts = np.zeros((4, num_classes), np.int64)
    kernels.match_boundaries(true, found, reach, counts[0], counts[1])
    kernels.match_boundaries(found, true, reach, counts[2], counts[3])
    return BoundaryCounts(*counts)


def count_by_trees(
    target: npt.NDArray[Any],
    prediction: npt.NDArray[Any],
    known: npt.NDArray[np.bool_],
    num_classes: int,
    labels: Sequence[int],
    reach_px: float,
) -> BoundaryCounts:
    """The same as `boundary_counts`, without Numba and for any number of classes, at many times the cost."""
    true, found = (_boundary_pixels(ids, known, num_classes) for ids in (target, prediction))
    counts = np.zeros((4, num_classes), np.int64)
    for label in labels:
        first, second = true[label], found[label]
        matched = _matched(first, second, reach_px), _matched(second, first, reach_px)
        counts[:, label] = len(first), matched[0], len(second), matched[1]
    return BoundaryCounts(*counts)


def _steps_within(reach_px: float) -> npt.NDArray[np.int64]:
    """(K, 2) steps (y, x) no longer than that, the shortest first."""
    far = int(reach_px)
    steps = np.mgrid[-far : far + 1, -far : far + 1].reshape(2, -1).T
    length = np.sqrt((steps**2).sum(axis=1))
    order = np.argsort(length, kind="stable")
    return np.ascontiguousarray(steps[order][length[order] <= reach_px])


def _boundary_pixels(
    ids: npt.NDArray[Any], known: npt.NDArray[np.bool_], num_classes: int
) -> list[npt.NDArray[np.int64]]:
    """(N, 2) positions (y, x) for each class, without repeats."""
    place = np.arange(ids.size).reshape(ids.shape)
    keys = []
    for here, there in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        changes = (ids[here] != ids[there]) & known[here] & known[there]
        for label in (ids[here][changes], ids[there][changes]):
            label = label.astype(np.int64)
            inside = (label >= 0) & (label < num_classes)
            keys += [label[inside] * ids.size + place[side][changes][inside] for side in (here, there)]
    every = np.unique(np.concatenate(keys))
    starts = np.searchsorted(every, np.arange(num_classes + 1) * ids.size)
    return [
        np.column_stack(np.divmod(every[start:stop] % ids.size, ids.shape[1]))
        for start, stop in itertools.pairwise(starts)
    ]


def _matched(these: npt.NDArray[np.int64], those: npt.NDArray[np.int64], reach_px: float) -> int:
    """How many of (N, 2) positions have one of the others within reach.

    By a tree: boundaries are few pixels, and a distance transform of the whole image for every class takes
    more than ten times as long (benchmarks/metrics.py).
    """
    if not len(these) or not len(those):
        return 0
    # the tree's own bound leaves out what lies on it
    distance, _ = KDTree(those).query(these, distance_upper_bound=reach_px + 1)
    return int(np.count_nonzero(distance <= reach_px))
