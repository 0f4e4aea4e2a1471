"""Overlays, panels and the journey as pixels."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from segspade_core.figures.journey import JourneySample, choose_samples, journey_figure
from segspade_core.figures.panels import data_uri, jpeg, map_png, overlay, png, sample_panel, shrink
from segspade_core.labels import NUM_IDS, ids_to_colours

ROAD, CAR = (128, 64, 128), (0, 0, 142)


def opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_overlay_mixes_colours_and_spares_void() -> None:
    """Catches alpha upside down, and void painted black. By hand: 0.25 x (128, 64, 128) + 0.75 x 100."""
    image = np.full((1, 2, 3), 100, np.uint8)
    label_ids = np.array([[7, 255]], np.uint8)
    mixed = overlay(image, label_ids, alpha=0.25)
    assert mixed.tolist() == [[[107, 91, 107], [100, 100, 100]]]
    assert overlay(image, label_ids, alpha=1)[0, 0].tolist() == list(ROAD)
    with pytest.raises(ValueError, match="must be the same size"):
        overlay(image, label_ids.T)


def test_a_map_as_png_keeps_every_colour() -> None:
    """Catches a palette in the wrong order: all ids and 255."""
    ids = np.append(np.arange(NUM_IDS, dtype=np.uint8), np.uint8(255)).reshape(5, 7)
    np.testing.assert_array_equal(opened(map_png(ids)), ids_to_colours(ids))


def test_maps_are_never_blended() -> None:
    """Catches shrinking by area, which invents classes between 7 and 26."""
    label_ids = np.tile(np.array([[7, 26]], np.uint8), (16, 16))
    small = shrink(label_ids, 5)
    assert small.shape == (2, 5)
    assert set(small.ravel().tolist()) <= {7, 26}
    assert shrink(label_ids, 64) is label_ids


def test_a_panel_fits_a_run_page() -> None:
    """Catches panels too large for the page: noise is the worst that JPEG can meet."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (512, 1024, 3), dtype=np.uint8)
    uri = sample_panel([[noise, np.full((512, 1024), 7, np.uint8)]] * 4)
    assert len(uri) <= 200_000
    head, _, body = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    height, width, _ = opened(base64.b64decode(body)).shape
    assert width / height == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match="a panel of no pictures"):
        sample_panel([])


def test_data_uri_tells_png_from_jpeg() -> None:
    """Catches a picture that a browser refuses."""
    image = np.zeros((8, 8, 3), np.uint8)
    assert data_uri(png(image)).startswith("data:image/png;base64,")
    assert data_uri(jpeg(image)).startswith("data:image/jpeg;base64,")


def make_sample(id: str = "a", missing: bool = False) -> JourneySample:
    def plain(value: int) -> np.ndarray:
        return np.full((20, 40, 3), value, np.uint8)

    road, car = np.full((20, 40), 7, np.uint8), np.full((20, 40), 26, np.uint8)
    true = None if missing else road
    return JourneySample(id, plain(10), true, car, None if missing else plain(30), plain(40), road, "day")


def test_the_journey_shows_every_picture_in_its_row() -> None:
    """Catches pictures in the wrong row, and maps shown as grey ids: colours down the first column."""
    pixels = opened(journey_figure([make_sample(), make_sample("b")]))
    column = [tuple(pixel) for pixel in pixels[:, 168].tolist()]
    runs = [colour for at, colour in enumerate(column) if colour != (255,) * 3 and column[at - 1] != colour]
    expected = [(10,) * 3, ROAD, CAR, ROAD, (30,) * 3, CAR, (40,) * 3, ROAD]
    found = [colour for colour in runs if colour in set(expected) and column.count(colour) >= 20]
    assert found == expected
    assert journey_figure([make_sample()]) == journey_figure([make_sample()])


def test_a_journey_without_true_maps_is_shorter() -> None:
    """Catches rows of nothing for a test split."""
    whole, partly = (opened(journey_figure([make_sample(missing=missing)])) for missing in (False, True))
    assert partly.shape[0] < whole.shape[0]
    with pytest.raises(ValueError, match="a journey of no samples"):
        journey_figure([])


def test_samples_show_every_time_of_day() -> None:
    """Catches a choice of the first frames, which may all be by day: 2 day, 1 dusk, 1 night."""
    times = ["day"] * 6 + ["dusk", "dusk", "night", "night"]
    assert choose_samples(times, 4) == [0, 3, 6, 8]
    assert choose_samples([None] * 8, 4) == [0, 2, 4, 6]
    assert choose_samples(times, 99) == list(range(10))
    assert choose_samples([], 4) == []
