"""One picture there and back, on a sheet: photograph, maps, painting, what differs, the classes' colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from segspade_core.figures.panels import marked, overlay, png, shrink
from segspade_core.labels import IGNORE_ID, NAMES, ids_to_colours

if TYPE_CHECKING:
    from segspade_core.there_and_back import ThereAndBack

_GAP, _LINE, _SWATCH = 8, 22, 14
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
    across = max(len(cells[0]) * (width + _GAP) + _GAP, 520)
    classes = _classes(result)
    columns = max(1, across // 190)
    legend_top = 3 * _LINE + _GAP + len(cells) * (height + _LINE + _GAP)
    down = legend_top + _LINE * math.ceil(len(classes) / columns) + 2 * _GAP
    canvas = Image.new("RGB", (across, down), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP, 4), heading, fill="black", font=ImageFont.load_default(18))
    small = ImageFont.load_default(13)
    draw.text((_GAP, _LINE + 8), note, fill="#444444", font=small)
    for row, line in enumerate(cells):
        top = 3 * _LINE + row * (height + _LINE + _GAP)
        for column, (caption, pixels) in enumerate(line):
            left = _GAP + column * (width + _GAP)
            draw.text((left, top - 18), caption, fill="black", font=small)
            canvas.paste(Image.fromarray(pixels), (left, top))
    for number, label_id in enumerate(classes):
        left = _GAP + number % columns * 190
        top = legend_top + number // columns * _LINE
        colour = tuple(map(int, ids_to_colours(np.array(label_id, np.uint8))))
        draw.rectangle((left, top, left + _SWATCH, top + _SWATCH), fill=colour, outline="#888888")
        name = "void" if label_id == IGNORE_ID else NAMES[label_id]
        draw.text((left + _SWATCH + 6, top), name, fill="black", font=small)
    return png(np.asarray(canvas))


def _rows(result: ThereAndBack) -> list[list[tuple[str, npt.NDArray[Any]]]]:
    accuracy = f"{result.agreement['accuracy']:.1%} of pixels agree"
    differing = ("where the maps differ (red): " + accuracy, marked(result.painting, result.disagreement))
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
