"""Pictures of many frames on few sheets, for a page that shows any of them without opening a file each.

A sheet is a grid: a row a frame, a column a kind of picture. The page draws one cell of it, so that a browser
unpacks a sheet once for sixteen frames. Thumbnails have a sheet a kind: dozens of frames from as many sheets
are on the screen at once, and what is not looked at would fill the memory.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segspade_core.figures.panels import jpeg, shrink
from segspade_core.labels import NUM_IDS, ids_to_colours, void_mask

Pixels = npt.NDArray[np.uint8]
PHOTOGRAPHS = ("photo", "painted_predicted", "painted_true")
MAPS = ("true", "predicted", "error", "second", "disagreement")
THUMBNAILS = ("photo", "predicted", "error", "painted_predicted", "disagreement")
_THUMBNAIL_PX = 160
# of the palette, beyond any label id: pixels that are alike, and those that are not
_SAME, _OTHER = 250, 251
_COLOURS = {_SAME: (236, 238, 242), _OTHER: (214, 22, 42)}


@dataclass(frozen=True)
class Sheets:
    """Pictures of some frames: contents of files, and what is in their columns, in order.

    Attributes:
        thumbnails: name → JPEG of one column.
        photographs: JPEG; empty where there are none.
        maps: PNG with a palette; empty where there are none.
        columns: 'thumbnails', 'photographs' and 'maps' → names of THUMBNAILS, PHOTOGRAPHS and MAPS.
        classes: of each frame, the sum of 2**id over the label ids of its true map, or of the predicted one.
    """

    thumbnails: dict[str, bytes]
    photographs: bytes
    maps: bytes
    columns: dict[str, list[str]]
    classes: list[int]


def draw_sheets(pictures: Mapping[str, npt.NDArray[Any]], width: int) -> Sheets:
    """Draw the sheets of some frames.

    Args:
        pictures: 'photo', 'painted_predicted' and 'painted_true' → (n, H, W, 3) uint8; 'true', 'predicted'
            and 'second' → (n, h, w) uint8 label ids; those there are. Sizes may differ between names.
        width: of a cell, at most, in pixels.
    """
    photographs = {name: pictures[name] for name in PHOTOGRAPHS if name in pictures}
    maps = _with_differences(pictures)
    small = {name: _shrunk(array, width) for name, array in {**photographs, **maps}.items()}
    tiny = {name: _shrunk(small[name], _THUMBNAIL_PX) for name in THUMBNAILS if name in small}
    known = maps.get("true", maps.get("predicted"))
    return Sheets(
        thumbnails={name: jpeg(_grid([_coloured(array)]), 80) for name, array in tiny.items()},
        photographs=jpeg(_grid([small[name] for name in photographs])) if photographs else b"",
        maps=_palette_png(_grid([small[name] for name in MAPS if name in maps])) if maps else b"",
        columns={
            "thumbnails": list(tiny),
            "photographs": list(photographs),
            "maps": [name for name in MAPS if name in maps],
        },
        classes=[] if known is None else [_classes(label_ids) for label_ids in known],
    )


def _with_differences(pictures: Mapping[str, npt.NDArray[Any]]) -> dict[str, Pixels]:
    maps = {name: pictures[name] for name in ("true", "predicted", "second") if name in pictures}
    for name, first, second in (("error", "true", "predicted"), ("disagreement", "predicted", "second")):
        if first in maps and second in maps and maps[first].shape == maps[second].shape:
            differ = (maps[first] != maps[second]) & ~void_mask(maps[first])
            maps[name] = np.where(differ, _OTHER, _SAME).astype(np.uint8)
    return maps


def _classes(label_ids: Pixels) -> int:
    return sum(1 << int(label_id) for label_id in np.unique(label_ids) if label_id < NUM_IDS)


def _shrunk(array: npt.NDArray[Any], width: int) -> Pixels:
    return np.stack([shrink(picture, width) for picture in array])


def _grid(columns: Sequence[Pixels]) -> Pixels:
    """Of (n, h, w[, 3]) each: a row a frame; all cells of the size of the largest."""
    height, width = (max(column.shape[axis] for column in columns) for axis in (1, 2))
    return np.concatenate(
        [np.concatenate([_fitted(cell, height, width) for cell in column]) for column in columns], 1
    )


def _fitted(picture: Pixels, height: int, width: int) -> Pixels:
    if picture.shape[:2] == (height, width):
        return picture
    how = Image.Resampling.NEAREST if picture.ndim == 2 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(picture).resize((width, height), how))


def _palette() -> Pixels:
    colours = ids_to_colours(np.arange(256, dtype=np.uint8)).copy()
    for index, colour in _COLOURS.items():
        colours[index] = colour
    return colours


def _coloured(array: Pixels) -> Pixels:
    return _palette()[array] if array.ndim == 3 else array


def _palette_png(grid: Pixels) -> bytes:
    image = Image.fromarray(grid)
    image.putpalette(_palette().tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
