"""Do new samples look like those that a model was trained on? Measure by measure, as distributions.

Every measure is one number a sample: brightness and the like, and the share of each label. Two sets of such
numbers are compared by the largest distance of their cumulative distributions (Kolmogorov-Smirnov). A
measure has drifted if that distance is large and no accident: large alone is common among few samples, and
no accident alone is common among many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from segspade_core.labels import NAMES
from segspade_core.metrics.statistics import IMAGE_MEASURES, label_columns

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """How one measure of the new samples differs from the reference's.

    Attributes:
        kind: 'image' or 'label'.
        name: of the measure, or of the label, whose share of a sample's pixels it is.
        reference, new: quantiles 5, 25, 50, 75 and 95 %.
        reference_mean, new_mean: means.
        distance: of Kolmogorov and Smirnov, in [0, 1].
        p: chance of such a distance, or a larger one, between samples of one distribution, times the number
            of measures looked at (Bonferroni); at most 1.
        drifted: whether both limits are passed.
    """

    kind: str
    name: str
    reference: tuple[float, ...]
    new: tuple[float, ...]
    reference_mean: float
    new_mean: float
    distance: float
    p: float
    drifted: bool


def compare_samples(
    reference: pd.DataFrame, new: pd.DataFrame, distance: float = 0.3, p: float = 0.001
) -> list[Drift]:
    """Compare two tables of samples, as `statistics.sample_row` makes their rows.

    Args:
        reference: the samples that a model was trained on; one or more.
        new: those that were not among them; one or more.
        distance: a measure drifts only from this distance on, in [0, 1].
        p: and only below this corrected chance of an accident.

    Returns:
        One a measure: those of images, then labels that occur in either; the largest distance first in each.

    Raises:
        ValueError: a table is empty.
    """
    if reference.empty or new.empty:
        raise ValueError("no samples to compare")
    measures = [
        *(("image", name, _numbers(reference, name), _numbers(new, name)) for name in IMAGE_MEASURES),
        *_label_shares(reference, new),
    ]
    found = [
        _drift(kind, name, before, after, len(measures), distance, p)
        for kind, name, before, after in measures
    ]
    return sorted(found, key=lambda drift: (drift.kind, -drift.distance, drift.name))


def _label_shares(reference: pd.DataFrame, new: pd.DataFrame) -> list[tuple[str, str, Floats, Floats]]:
    columns = label_columns()
    if not set(columns) <= set(reference) & set(new):
        return []
    before, after = (table[columns].to_numpy(np.float64) for table in (reference, new))
    before, after = (pixels / pixels.sum(axis=1, keepdims=True) for pixels in (before, after))
    names = [*NAMES, "none"]
    return [
        ("label", names[at], before[:, at], after[:, at])
        for at in range(len(columns))
        if before[:, at].any() or after[:, at].any()
    ]


def _drift(
    kind: str, name: str, before: Floats, after: Floats, measures: int, distance: float, p: float
) -> Drift:
    from scipy import stats  # here: it takes a second to import, and most runs compare nothing

    found = stats.ks_2samp(before, after)
    corrected = min(1.0, float(found.pvalue) * measures)
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
    return Drift(
        kind,
        name,
        tuple(np.quantile(before, quantiles).tolist()),
        tuple(np.quantile(after, quantiles).tolist()),
        float(before.mean()),
        float(after.mean()),
        float(found.statistic),
        corrected,
        float(found.statistic) >= distance and corrected < p,
    )


def _numbers(table: pd.DataFrame, name: str) -> Floats:
    return table[name].to_numpy(np.float64)
