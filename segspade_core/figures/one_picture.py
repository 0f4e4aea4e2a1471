"""One picture there and back, on a sheet: photograph, maps, painting, what differs, the classes' colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from segspade_core.figures.lettering import Font, lettered, shortened, wrapped
from segspade_core.figures.panels import marked, overlay, png, shrink
from segspade_core.labels import IGNORE_ID, NAMES, ids_to_colours

if TYPE_CHECKING:
    from segspade_core.there_and_back import ThereAndBack

_GAP, _LINE, _SWATCH = 8, 22, 14
_SMALL, _SMALL_LINE = 13, 17
_NARROWEST = 180  # of a cell: captions of two lines fit
_HEAD = 30  # of the heading
_CELL_PX = 640  # a picture's longer side at most


def picture_sheet(result: ThereAndBack, heading: str, note: str = "") -> bytes:
    """A PNG of everything: two rows of three where there is a photograph, else two of two.

    Args:
        result: of one picture.
        heading: what it is called.
        note: a line below that: models and what was asked of them.
    """
    cells = [[(caption, _small(pixels)) for caption, pixels in row] for row in _rows(result)]
    height, width = cells[0][0][1].shape[:2]
    cell = max(width, _NARROWEST)
    across = max(len(cells[0]) * (cell + _GAP) + _GAP, 520)
    classes = _classes(result)
    columns = max(1, across // 190)
    note, font = lettered(note, _SMALL)
    notes = wrapped(note, font, across - 2 * _GAP)
    captions = [[_caption(caption, cell) for caption, _ in row] for row in cells]
    above = _SMALL_LINE * max(len(lines) for row in captions for lines, _ in row) + 4
    first_row = _HEAD + _SMALL_LINE * len(notes) + _GAP
    legend_top = first_row + len(cells) * (above + height + _GAP) + _GAP
    down = legend_top + _LINE * math.ceil(len(classes) / columns) + 2 * _GAP
    canvas = Image.new("RGB", (across, down), "white")
    draw = ImageDraw.Draw(canvas)
    heading, large = lettered(heading, 18)
    heading = shortened(heading, large, across - 2 * _GAP)
    draw.text((_GAP, 4), heading, fill="black", font=large)
    _write(draw, (_GAP, _HEAD), notes, font, "#444444")
    for row, line in enumerate(cells):
        top = first_row + row * (above + height + _GAP) + above
        for column, (_, pixels) in enumerate(line):
            left = _GAP + column * (cell + _GAP)
            lines, font = captions[row][column]
            _write(draw, (left, top - 4 - _SMALL_LINE * len(lines)), lines, font, "black")
            canvas.paste(Image.fromarray(pixels), (left, top))
    _, small = lettered("", _SMALL)
    for number, label_id in enumerate(classes):
        left = _GAP + number % columns * 190
        top = legend_top + number // columns * _LINE
        colour = tuple(map(int, ids_to_colours(np.array(label_id, np.uint8))))
        draw.rectangle((left, top, left + _SWATCH, top + _SWATCH), fill=colour, outline="#888888")
        name = "void" if label_id == IGNORE_ID else NAMES[label_id]
        draw.text((left + _SWATCH + 6, top), name, fill="black", font=small)
    return png(np.asarray(canvas))


def _caption(text: str, width: int) -> tuple[list[str], Font]:
    text, font = lettered(text, _SMALL)
    return wrapped(text, font, width), font


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], lines: list[str], font: Font, colour: str) -> None:
    for number, line in enumerate(lines):
        draw.text((at[0], at[1] + number * _SMALL_LINE), line, fill=colour, font=font)


def _rows(result: ThereAndBack) -> list[list[tuple[str, npt.NDArray[Any]]]]:
    accuracy = result.agreement["accuracy"]
    told = (
        "nothing to compare: the map is all void"
        if math.isnan(accuracy)
        else f"where the maps differ (red): {accuracy:.1%} of pixels agree"
    )
    differing = (told, marked(result.painting, result.disagreement))
    painting, second = (
        ("painted from the map", result.painting),
        ("second map: of the painting", result.second),
    )
    if result.photograph is None:
        return [[("label map", result.first), painting], [second, differing]]
    over = ("first map over the photograph", overlay(result.photograph, result.first))
    return [
        [("photograph", result.photograph), ("first map", result.first), over],
        [painting, second, differing],
    ]


def _small(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    small = shrink(pixels, min(width, max(1, round(_CELL_PX * width / max(height, width)))))
    return ids_to_colours(small) if small.ndim == 2 else small


def _classes(result: ThereAndBack) -> list[int]:
    """Ids in either map, those of the most pixels first."""
    counts = np.bincount(np.concatenate([result.first.ravel(), result.second.ravel()]), minlength=256)
    return [int(label_id) for label_id in np.argsort(-counts, kind="stable") if counts[label_id]]
