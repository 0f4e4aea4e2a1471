"""The film strip of a cycle: every frame's photograph and paintings, and below each the map read from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from segspade_core.figures.panels import png, shrink
from segspade_core.labels import ids_to_colours

_GAP, _LINE = 6, 20
_MOST = 9  # columns


@dataclass(frozen=True, eq=False)
class FilmSample:
    """One frame in some rounds: images (H, W, 3) uint8, the photograph in round 0; maps (H, W) uint8 ids."""

    id: str
    images: Sequence[npt.NDArray[Any]]
    maps: Sequence[npt.NDArray[Any]]


def shown_rounds(rounds: int, most: int = _MOST) -> list[int]:
    """Which of rounds 0 to `rounds` to show: all where there is room, else ever fewer, and the last."""
    if rounds < most:
        return list(range(rounds + 1))
    chosen = {0, rounds}
    # the early rounds change most: steps grow by the same factor
    for at in range(1, most):
        chosen.add(round(rounds ** (at / (most - 1))))
    for at in range(rounds):
        if len(chosen) >= most:
            break
        chosen.add(at)
    return sorted(chosen)


def film_strip(samples: Sequence[FilmSample], rounds: Sequence[int], width: int = 192) -> bytes:
    """A PNG with a row a frame and a column a round; in each, what was looked at and the map read from it.

    Args:
        samples: at least one; all of one size, with an image and a map for each of `rounds`.
        rounds: what the columns are called.
        width: of a picture at most, in pixels.
    """
    if not samples:
        raise ValueError("a film of no samples: give at least one")
    for sample in samples:
        if not len(sample.images) == len(sample.maps) == len(rounds):
            raise ValueError(
                f"{sample.id} has {len(sample.images)} images and {len(sample.maps)} maps "
                f"for {len(rounds)} rounds"
            )
    height, across = shrink(samples[0].maps[0], width).shape
    row_height = _LINE + 2 * (height + 2) + _GAP
    canvas = Image.new(
        "RGB", (_GAP + len(rounds) * (across + _GAP), _LINE + len(samples) * row_height + _GAP), "white"
    )
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for column, at in enumerate(rounds):
        left = _GAP + column * (across + _GAP)
        draw.text((left, 4), "photograph" if at == 0 else f"round {at}", fill="black", font=font)
        for row, sample in enumerate(samples):
            top = _LINE + row * row_height + _LINE
            if column == 0:
                draw.text((left, top - 16), sample.id, fill="#555555", font=font)
            canvas.paste(Image.fromarray(shrink(sample.images[column], width)), (left, top))
            colours = ids_to_colours(shrink(sample.maps[column], width))
            canvas.paste(Image.fromarray(colours), (left, top + height + 2))
    return png(np.asarray(canvas))
