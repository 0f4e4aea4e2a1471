"""The Numba kernel that chooses the classes of pixels, compiled where it runs."""

from __future__ import annotations

from typing import Any

from segspade_core.compiled import compiled


@compiled
def choose(first: int, last: int, scores: Any, bars: Any, out: Any) -> None:
    """The best class of every pixel of the rows `first` to `last`; of several that are alike the first.

    Args:
        scores: (H, W, C) float32, however it lies in memory.
        bars: (C,) float32, added to the scores.
        out: (H, W) uint8, written.
    """
    width = scores.shape[1]
    for row in range(first, last):
        # Two pixels at once: each comparison waits for the one before it, and the other pixel's does not. Of
        # an odd width the last is done twice.
        for left in range(0, width, 2):
            right = min(left + 1, width - 1)
            a, b = scores[row, left], scores[row, right]
            best_a, chosen_a = a[0] + bars[0], 0
            best_b, chosen_b = b[0] + bars[0], 0
            for c in range(1, bars.size):
                # values are picked, and no branch is taken: nothing tells which way the next one goes
                score = a[c] + bars[c]
                chosen_a = c if score > best_a else chosen_a
                best_a = score if score > best_a else best_a
                score = b[c] + bars[c]
                chosen_b = c if score > best_b else chosen_b
                best_b = score if score > best_b else best_b
            out[row, left] = chosen_a
            out[row, right] = chosen_b
