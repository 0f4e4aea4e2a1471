"""The Numba kernel that chooses the class of a pixel, compiled where it runs."""

from __future__ import annotations

from typing import Any

from segspade_core.compiled import compiled


@compiled
def choose(first: int, last: int, scores: Any, bars: Any, out: Any) -> None:
    """The best class of the pixels `first` to `last`; of several that are alike the first.

    Args:
        scores: (N, C) float32.
        bars: (C,) float32, added to the scores.
        out: (N,) uint8, written.
    """
    for n in range(first, last):
        pixel = scores[n]
        best, chosen = pixel[0] + bars[0], 0
        for c in range(1, bars.size):
            score = pixel[c] + bars[c]
            # two choices of a value, and not one branch: no pixel tells what the next one will be
            chosen = c if score > best else chosen
            best = score if score > best else best
        out[n] = chosen
