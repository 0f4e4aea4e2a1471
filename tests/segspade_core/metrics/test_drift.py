"""Statistics of samples, and whether new ones differ from those that a model was trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segspade_core.labels import NAMES
from segspade_core.metrics.drift import Drift, compare_samples
from segspade_core.metrics.statistics import image_measures, label_columns, label_pixels, sample_row


def table(count: int, seed: int, lighter: int = 0, road: float = 0.5) -> pd.DataFrame:
    """Random noise of some brightness over a road and a sky."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        image = np.clip(random.normal(100 + lighter, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
        labels = np.where(random.random((16, 16)) < road + random.normal(0, 0.05), 7, 23).astype(np.uint8)
        rows.append(sample_row(image, labels))
    return pd.DataFrame(rows)


def test_measures_worked_by_hand() -> None:
    """One red pixel, one black: luma 76.245 and 0, half of it to either side of the mean, one step across."""
    image = np.array([[[255, 0, 0], [0, 0, 0]], [[255, 0, 0], [0, 0, 0]]], np.uint8)
    assert image_measures(image) == {
        "brightness": pytest.approx(0.299 * 255 / 2, rel=1e-5),
        "contrast": pytest.approx(0.299 * 255 / 2, rel=1e-5),
        "saturation": pytest.approx(255 / 2),
        "sharpness": pytest.approx(0.299 * 255 / 2, rel=1e-5),  # every step across is 76, none down
    }


def test_saturation_does_not_wrap_around() -> None:
    """Fault: differences of uint8, where 0 - 255 is 1."""
    assert image_measures(np.full((2, 2, 3), [0, 255, 3], np.uint8))["saturation"] == 255


def test_every_pixel_is_counted_once() -> None:
    labels = np.array([[0, 7, 7], [33, 255, 255]], np.uint8)
    pixels = label_pixels(labels)
    assert pixels.sum() == labels.size
    assert {at: int(pixels[at]) for at in np.flatnonzero(pixels)} == {0: 1, 7: 2, 33: 1, 34: 2}
    assert len(pixels) == len(label_columns())


def of(found: list[Drift], name: str) -> Drift:
    return next(drift for drift in found if drift.name == name)


@given(st.integers(0, 1000), st.integers(3, 40))
def test_the_distance_is_that_of_the_cumulative_distributions(seed: int, count: int) -> None:
    reference, new = table(20, seed), table(count, seed + 1, lighter=5)
    found = of(compare_samples(reference, new), "brightness")
    before, after = reference["brightness"].to_numpy(), new["brightness"].to_numpy()
    points = np.concatenate([before, after])
    slow = max(abs((before <= at).mean() - (after <= at).mean()) for at in points)
    assert found.distance == pytest.approx(slow)
    assert found.reference_mean == pytest.approx(before.mean())
    assert found.new[2] == pytest.approx(np.median(after))


@pytest.mark.parametrize("count", [1, 4, 16, 64])
def test_more_of_the_same_is_no_drift(count: int) -> None:
    """Fault: few samples always look different."""
    for seed in range(20):
        found = compare_samples(table(64, 1000 + seed), table(count, 2000 + seed))
        assert not [drift.name for drift in found if drift.drifted]


def test_night_is_told_from_day_and_a_map_without_roads_from_one_with() -> None:
    found = compare_samples(table(40, 1), table(12, 2, lighter=60, road=0.1))
    drifted = {drift.name for drift in found if drift.drifted}
    assert {"brightness", "road", "sky"} <= drifted
    assert [drift.kind for drift in found] == sorted(drift.kind for drift in found)
    road = of(found, "road")
    assert road.reference_mean == pytest.approx(0.5, abs=0.03)
    assert road.new_mean == pytest.approx(0.1, abs=0.03)


def test_a_difference_that_is_certain_but_small_is_no_drift() -> None:
    """Fault: with thousands of samples everything differs for certain."""
    found = of(compare_samples(table(1500, 1), table(1500, 2, lighter=1)), "brightness")
    assert found.p < 1e-6
    assert found.distance > 0.2
    loose = of(compare_samples(table(1500, 1), table(1500, 2, lighter=1), distance=0.2), "brightness")
    assert (found.drifted, loose.drifted) == (found.distance >= 0.3, True)


def test_the_chance_is_corrected_for_how_many_measures_are_looked_at() -> None:
    reference, new = table(12, 1), table(6, 2, lighter=8)
    both = of(compare_samples(reference, new), "brightness")
    columns = [*(f"pixels_{label:02}" for label in range(len(NAMES))), "pixels_none"]
    images = [frame.drop(columns=columns) for frame in (reference, new)]
    alone = of(compare_samples(*images), "brightness")
    assert 0 < alone.p < 1
    assert both.p == pytest.approx(min(1, alone.p * 6 / 4))  # road and sky are two more measures


def test_labels_that_occur_nowhere_are_not_listed_and_no_labels_are_none() -> None:
    found = compare_samples(table(5, 1), table(5, 2))
    assert {drift.name for drift in found if drift.kind == "label"} == {"road", "sky"}
    image_only = pd.DataFrame([sample_row(np.zeros((4, 4, 3), np.uint8), None)] * 3)
    assert {drift.kind for drift in compare_samples(table(5, 1), image_only)} == {"image"}


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^no samples to compare$"):
        compare_samples(table(3, 1), table(0, 2))
