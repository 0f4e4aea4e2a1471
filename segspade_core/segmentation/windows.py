"""A large photograph seen through windows that overlap, in memory for one row of windows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from segspade_core.config import WindowsConfig
from segspade_core.segmentation.model import STRIDE


@dataclass(frozen=True)
class Span:
    """Where a window lies along one side, and what each of its pixels counts for in the blend."""

    start: int
    stop: int
    weights: Tensor  # (stop - start,) float32


def blended_rows(
    scores_of: Callable[[int, int, int, int], Tensor], height: int, width: int, windows: WindowsConfig
) -> Iterator[tuple[int, Tensor]]:
    """Blend the scores of all windows, from above to below.

    Args:
        scores_of: top, bottom, left, right → (C, bottom - top, right - left) float32 of that window.

    Yields:
        The first row of a strip, and its scores (C, rows, W); the strips make up the photograph. They are
        valid until the next one is asked for.
    """
    rows, columns = (
        spans(side, size, windows.overlap) for side, size in zip((height, width), windows.size, strict=True)
    )
    strip: Tensor | None = None  # of the rows from `top` on, which windows still to come may add to
    top = 0
    for index, row in enumerate(rows):
        for column in columns:
            scores = scores_of(row.start, row.stop, column.start, column.stop)
            if strip is None:
                strip = scores.new_zeros(len(scores), rows[0].stop, width)
            weights = torch.outer(row.weights, column.weights).to(scores.device)
            part = strip[:, row.start - top : row.stop - top, column.start : column.stop]
            part.addcmul_(scores, weights)
            del scores, part  # before the next window makes its own
        assert strip is not None
        done = rows[index + 1].start if index + 1 < len(rows) else height
        yield top, strip[:, : done - top]
        if index + 1 < len(rows):
            kept = row.stop - done
            # a copy, as the two may lie over each other
            strip[:, :kept] = strip[:, done - top : row.stop - top].clone()
            strip[:, kept:] = 0
            top = done


def spans(length: int, size: int, overlap: float) -> list[Span]:
    """Windows along a side, as even as possible, each with at least `overlap` of its size in the next.

    They start at multiples of the network's stride, so that a pixel falls into the same cell of its feature
    maps as in the whole photograph; the last one may so be up to a stride short. Of what two windows have in
    common, the outer quarter of each counts nothing (a window knows least at its rim), and between the
    quarters they are blended linearly. The weights of all windows sum to one at every pixel, up to rounding.

    Args:
        length: of the side, in pixels.
        size: of a window.
        overlap: in [0, 1).
    """
    starts = [0]
    if length > size:
        far = -(-(length - size) // STRIDE)  # start of the last, in strides
        step = max(1, int(size * (1 - overlap)) // STRIDE)
        count = -(-far // step)
        starts = [-(-index * far // count) * STRIDE for index in range(count + 1)]
    stops = [min(start + size, length) for start in starts]
    pixels = torch.arange(length, dtype=torch.float64) + 0.5
    weights = torch.ones(len(starts), length, dtype=torch.float64)
    for index, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        weights[index, :start] = weights[index, stop:] = 0
        if index:
            weights[index] *= _rise(pixels, start, stops[index - 1])
        if index + 1 < len(starts):
            weights[index] *= 1 - _rise(pixels, starts[index + 1], stop)
    # where more than two have a pixel in common
    weights /= weights.sum(0)
    return [
        Span(start, stop, row[start:stop].float())
        for start, stop, row in zip(starts, stops, weights, strict=True)
    ]


def _rise(pixels: Tensor, start: int, stop: int) -> Tensor:
    """From 0 to 1 over the middle half of what lies between start and stop."""
    middle, half = (start + stop) / 2, (stop - start) / 2
    if half <= 0:
        return (pixels > middle).double()
    return ((pixels - middle) / half + 0.5).clamp(0, 1)
