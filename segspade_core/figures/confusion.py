"""A confusion matrix as a heat map: each row shows where the pixels of one true class went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.figures import svg

_CELL, _LEFT, _TOP = 28, 130, 130


def confusion_heat_map(confusion: npt.NDArray[Any], names: Sequence[str], title: str) -> str:
    """Draw the classes that occur, each row as shares of its true pixels.

    Args:
        confusion: (C, C) or (C, C + 1) counts, rows = true, columns = predicted, last = predicted as none.
        names: the C names.
        title: for the drawing.

    Returns:
        SVG; a cell tells its classes and pixels when pointed at, and its percentage where it is 1 % or more.
    """
    size = len(confusion)
    present = np.flatnonzero(confusion.sum(axis=1) + confusion[:, :size].sum(axis=0)).tolist()
    columns = [*present, size] if confusion.shape[1] > size and confusion[:, size].any() else present
    heading = svg.text(8, 16, title, extra=' font-weight="600"')
    if not present:
        return svg.document(400, 60, title, [heading, svg.text(8, 44, "no pixels were counted")])
    labels = [*names, "(void)"]
    parts = [heading, svg.text(8, _TOP - 8, "true ↓   predicted →", extra=' fill-opacity="0.75"')]
    for at, column in enumerate(columns):
        x = _LEFT + at * _CELL + _CELL / 2 + 4
        turn = f' transform="rotate(-60 {svg.number(x)} {_TOP - 6})"'
        parts.append(svg.text(x, _TOP - 6, labels[column], extra=turn))
    for at, row in enumerate(present):
        parts.append(svg.text(_LEFT - 6, _TOP + at * _CELL + 18, labels[row], "end"))
        parts += _row(confusion[row], columns, labels, row, _TOP + at * _CELL)
    width = _LEFT + len(columns) * _CELL + 90
    return svg.document(width, _TOP + len(present) * _CELL + 10, title, parts)


def _row(
    counts: npt.NDArray[Any], columns: Sequence[int], labels: Sequence[str], row: int, y: float
) -> list[str]:
    total = int(counts.sum())
    parts = []
    for at, column in enumerate(columns):
        share = int(counts[column]) / total if total else 0.0
        x = _LEFT + at * _CELL
        colour = svg.SERIES[0] if column == row else svg.SERIES[1]
        tip = f"{labels[row]} as {labels[column]}: {share:.1%}, {int(counts[column])} pixels"
        # the root lets small shares be seen; the floor draws the grid
        parts.append(svg.rect(x + 0.5, y + 0.5, _CELL - 1, _CELL - 1, colour, 0.04 + 0.66 * share**0.5, tip))
        if share >= 0.01:
            parts.append(svg.text(x + _CELL / 2, y + 18, f"{share * 100:.0f}", "middle", ' font-size="11"'))
    return parts
