"""Sheets of the inspector: each picture in the cell that is said to be its own."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segspade_core.figures.sheets import draw_sheets
from segspade_core.labels import IGNORE_ID

RANDOM = np.random.default_rng(0)
COUNT, HEIGHT, WIDTH = 3, 16, 32
TRUE = RANDOM.integers(4, 34, (COUNT, HEIGHT, WIDTH), dtype=np.uint8)
TRUE[:, 0] = IGNORE_ID
PREDICTED, SECOND = TRUE.copy(), TRUE.copy()
PREDICTED[:, 4:8] = 11
PREDICTED[:, 0] = 23
SECOND[:] = PREDICTED
SECOND[:, 10:12] = 26
PHOTO = (
    np.zeros((COUNT, HEIGHT, WIDTH, 3), np.uint8) + np.arange(COUNT, dtype=np.uint8)[:, None, None, None] * 80
)
PAINTED = PHOTO + 40
PICTURES: dict[str, Any] = {
    "photo": PHOTO,
    "painted_predicted": PAINTED,
    "true": TRUE,
    "predicted": PREDICTED,
    "second": SECOND,
}


def opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def cell(sheet: np.ndarray, row: int, column: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]


def test_every_picture_is_in_its_cell() -> None:
    """Fault: the picture of another frame, or another kind of picture, under a caption."""
    sheets = draw_sheets(PICTURES, WIDTH)
    assert sheets.columns["photographs"] == ["photo", "painted_predicted"]
    assert sheets.columns["maps"] == ["true", "predicted", "error", "second", "disagreement"]
    photographs, maps = opened(sheets.photographs), opened(sheets.maps)
    for row in range(COUNT):
        for column, array in enumerate((PHOTO, PAINTED)):
            assert abs(cell(photographs, row, column).astype(int) - array[row]).max() <= 3
        for column, name in enumerate(sheets.columns["maps"]):
            if name in PICTURES:
                np.testing.assert_array_equal(cell(maps, row, column), PICTURES[name][row])


def test_differences_are_where_maps_differ_and_not_in_void() -> None:
    sheets = draw_sheets(PICTURES, WIDTH)
    maps = opened(sheets.maps)
    image = Image.open(io.BytesIO(sheets.maps)).convert("RGB")
    red = (np.asarray(image) == (214, 22, 42)).all(-1)
    for row in range(COUNT):
        wrong = (TRUE[row] != PREDICTED[row]) & (TRUE[row] != IGNORE_ID)
        np.testing.assert_array_equal(cell(red, row, 2), wrong)
        np.testing.assert_array_equal(cell(red, row, 4), PREDICTED[row] != SECOND[row])
    assert len(np.unique(cell(maps, 0, 2))) == 2


def test_classes_are_those_of_the_true_map_and_else_of_the_prediction() -> None:
    """Fault: a filter for a class that shows frames where it was only mistaken for another."""

    def names(mask: int) -> set[int]:
        return {label_id for label_id in range(34) if mask >> label_id & 1}

    known = [names(mask) for mask in draw_sheets(PICTURES, WIDTH).classes]
    assert known == [set(map(int, np.unique(TRUE[row]))) - {IGNORE_ID} for row in range(COUNT)]
    without = {name: array for name, array in PICTURES.items() if name != "true"}
    known = [names(mask) for mask in draw_sheets(without, WIDTH).classes]
    assert known == [set(map(int, np.unique(PREDICTED[row]))) for row in range(COUNT)]


def test_without_labels_there_is_no_error_and_sizes_are_held() -> None:
    without = {name: array for name, array in PICTURES.items() if name != "true"}
    sheets = draw_sheets(without, 16)
    assert sheets.columns["maps"] == ["predicted", "second", "disagreement"]
    assert sheets.columns["thumbnails"] == ["photo", "predicted", "painted_predicted", "disagreement"]
    assert opened(sheets.maps).shape == (COUNT * 8, 3 * 16)
    assert opened(sheets.photographs).shape == (COUNT * 8, 2 * 16, 3)
    assert list(sheets.thumbnails) == sheets.columns["thumbnails"]
    assert {opened(content).shape for content in sheets.thumbnails.values()} == {(COUNT * 8, 16, 3)}


@pytest.mark.parametrize("scale", [2, 3])
def test_maps_of_another_size_fit_the_others_cells(scale: int) -> None:
    """Fault: true maps that are kept at their own size push the columns beside them away."""
    large = np.repeat(np.repeat(TRUE, scale, 1), scale, 2)
    sheets = draw_sheets({"true": large, "predicted": PREDICTED}, WIDTH)
    maps = opened(sheets.maps)
    assert sheets.columns["maps"][:2] == ["true", "predicted"]
    for row in range(COUNT):
        np.testing.assert_array_equal(cell(maps, row, 1), PREDICTED[row])
        np.testing.assert_array_equal(cell(maps, row, 0), TRUE[row])
