"""The study's figures: how a scene travels from photograph to labels, to a painted photograph, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from segspade_core.figures.panels import png, shrink
from segspade_core.labels import ids_to_colours

Picture = npt.NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class JourneySample:
    """All that became of one frame: images (H, W, 3) uint8, maps (H, W) uint8 ids, None where not made."""

    id: str
    photo: Picture
    true: Picture
    predicted: Picture
    painted_true: Picture
    painted_predicted: Picture
    second: Picture
    time_of_day: str | None = None


@dataclass(frozen=True)
class Journey:
    """One of the figures: a heading, and rows of (caption, attribute of JourneySample)."""

    heading: str
    rows: tuple[tuple[str, str], ...]


JOURNEYS = (
    Journey(
        "Photograph to labels",
        (("photograph", "photo"), ("true map", "true"), ("predicted map", "predicted")),
    ),
    Journey("Labels to photograph", (("true map", "true"), ("painted photo", "painted_true"))),
    Journey(
        "There and back: the cycle",
        (("first map", "predicted"), ("painted photo", "painted_predicted"), ("second map", "second")),
    ),
)

_GAP, _LINE, _MARGIN = 6, 22, 130


def choose_samples(times_of_day: Sequence[str | None], count: int) -> list[int]:
    """Rows of a split to show: day, dusk and night in turn where known, spread over the split.

    Args:
        times_of_day: one a sample, in order.
        count: how many to show; fewer come back where there are fewer.

    Returns:
        Ascending row numbers.
    """
    groups: dict[str, list[int]] = {}
    for row, time in enumerate(times_of_day):
        groups.setdefault(str(time or ""), []).append(row)
    wanted = min(count, len(times_of_day))
    shares = dict.fromkeys(sorted(groups), 0)
    while sum(shares.values()) < wanted:
        for name in shares:
            if sum(shares.values()) < wanted and shares[name] < len(groups[name]):
                shares[name] += 1
    return sorted(
        groups[name][at * len(groups[name]) // share] for name, share in shares.items() for at in range(share)
    )


def journey_figure(samples: Sequence[JourneySample], width: int = 512) -> bytes:
    """All the figures of some samples in one PNG: a column a sample, captions at the left.

    Args:
        samples: at least one; all of one size.
        width: pictures wider than this are shrunk: photographs by area, maps by nearest.
    """
    if not samples:
        raise ValueError("a journey of no samples: give at least one")
    blocks = [block for journey in JOURNEYS if (block := _block(journey, samples, width)) is not None]
    if not blocks:
        raise ValueError("samples without any picture: there is nothing to show")
    widest = max(block.shape[1] for block in blocks)
    return png(
        np.vstack(
            [
                np.pad(block, ((0, 0), (0, widest - block.shape[1]), (0, 0)), constant_values=255)
                for block in blocks
            ]
        )
    )


def _block(journey: Journey, samples: Sequence[JourneySample], width: int) -> npt.NDArray[np.uint8] | None:
    rows = [
        (caption, [_shown(getattr(sample, name), width) for sample in samples])
        for caption, name in journey.rows
    ]
    sizes = [cell.shape for _, cells in rows for cell in cells if cell is not None]
    if not sizes:
        return None
    height, across, _ = sizes[0]
    canvas = Image.new(
        "RGB",
        (_MARGIN + len(samples) * (across + _GAP), 2 * _LINE + len(rows) * (height + _GAP) + _GAP),
        "white",
    )
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP, 2), journey.heading, fill="black", font=ImageFont.load_default(16))
    small = ImageFont.load_default(12)
    for column, sample in enumerate(samples):
        label = f"{sample.id}  {sample.time_of_day or ''}".strip()
        draw.text((_MARGIN + column * (across + _GAP), _LINE + 3), label, fill="black", font=small)
    for row, (caption, cells) in enumerate(rows):
        top = 2 * _LINE + row * (height + _GAP)
        draw.text((_GAP, top + height // 2 - 7), caption, fill="black", font=small)
        for column, cell in enumerate(cells):
            if cell is not None:
                canvas.paste(Image.fromarray(cell), (_MARGIN + column * (across + _GAP), top))
    return np.asarray(canvas)


def _shown(picture: Picture, width: int) -> npt.NDArray[Any] | None:
    if picture is None:
        return None
    small = shrink(picture, width)
    return ids_to_colours(small) if small.ndim == 2 else small
