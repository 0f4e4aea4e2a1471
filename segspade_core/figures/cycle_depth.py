"""A plot of a cycle that goes round and round: agreement, softness of edges, class frequencies by round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from segspade_core.figures import svg

_WIDTH, _LEFT, _RIGHT = 640, 56, 16
_HEAD, _FOOT, _ROW = 34, 40, 18  # of a panel: above its frame, below it, and each row of its legend
_MEASURES = (("accuracy", "pixels alike"), ("miou", "mIoU"), ("boundary_f1", "boundary F1"))
_LEAST = 0.01  # of a class's first frequency; what is less, or gone, lies on the floor
_COLUMNS = 2  # of a legend


@dataclass(frozen=True)
class _Line:
    name: str
    by_round: Sequence[float]  # , NaN where there is none
    colour: str
    dashed: bool = False
    faint: bool = False


def depth_plot(
    per_round: pd.DataFrame, per_class: pd.DataFrame, deaths: Sequence[Mapping[str, Any]], least_pixels: int
) -> str:
    """Draw three panels over the rounds.

    Args:
        per_round: a row a round, of `metrics.cycle_depth_tables`.
        per_class: a row a round and class, likewise.
        deaths: `class_id`, `name` and `round` of classes that died, the first in front: these have a colour.
        least_pixels: classes with fewer in round 0 are left out.

    Returns:
        SVG.
    """
    rounds = len(per_round) - 1
    alike = [
        _Line(f"{name}, with the {which}", per_round[f"{measure}_{column}"].tolist(), colour, dashed)
        for (measure, name), colour in zip(_MEASURES, svg.SERIES, strict=False)
        for column, which, dashed in (("first", "first map", False), ("before", "round before", True))
    ]
    soft = [_Line("over the first map's", per_round["boundary_length_ratio_first"].tolist(), svg.SERIES[3])]
    known = [value for value in soft[0].by_round if math.isfinite(value)] + [1.0]
    classes = _class_lines(per_class, deaths, least_pixels)
    highest = max([1.0, *(value for line in classes for value in line.by_round)])
    panels = [
        _Panel("Maps alike", rounds, 170, (0.0, 1.0), percent=True),
        _Panel("Length of boundaries (below 1: softer edges)", rounds, 100, (min(known), max(known))),
        _Panel("Pixels of each class, over those in the first map", rounds, 170, (_LEAST, highest), log=True),
    ]
    parts: list[str] = []
    top = 0.0
    for panel, lines in zip(panels, (alike, soft, classes), strict=True):
        drawn, below = panel.draw(top, lines)
        parts += drawn
        top = below
    return svg.document(_WIDTH, top, f"A cycle of {rounds} round{'s' * (rounds != 1)}", parts)


def _class_lines(
    per_class: pd.DataFrame, deaths: Sequence[Mapping[str, Any]], least_pixels: int
) -> list[_Line]:
    """Grey ones first: those of classes that died are drawn over them, the first to die in front."""
    of_first = {
        int(str(class_id)): rows["of_first"].tolist()
        for class_id, rows in per_class.groupby("class_id", sort=True)
        if rows["pixels"].iloc[0] >= least_pixels
    }
    named = [
        _Line(f"{death['name']}, dead in round {death['round']}", of_first.pop(death["class_id"]), colour)
        for death, colour in zip(deaths, svg.SERIES, strict=False)
    ]
    return [*(_Line("", values, svg.INK, faint=True) for values in of_first.values()), *named]


class _Panel:
    """A frame over rounds 0 to K, with its lines and their legend."""

    def __init__(
        self,
        title: str,
        rounds: int,
        height: int,
        limits: tuple[float, float],
        *,
        log: bool = False,
        percent: bool = False,
    ) -> None:
        self.title, self.rounds, self.height = title, rounds, height
        low, high = limits
        self.low, self.high = (low, high) if high > low else (low - 0.5, high + 0.5)
        self.log, self.percent = log, percent

    def draw(self, top: float, lines: Sequence[_Line]) -> tuple[list[str], float]:
        """The panel's parts, and where the next one may begin."""
        parts = [svg.text(_LEFT, top + 18, self.title, extra=' font-weight="600"')]
        for value in self._ticks():
            y = self._y(top, value)
            parts += [
                svg.line(_LEFT, y, _WIDTH - _RIGHT, y),
                svg.text(_LEFT - 8, y + 4, self._label(value), "end"),
            ]
        bottom = top + _HEAD + self.height
        for at in (round(tick) for tick in svg.ticks(0, self.rounds, 8) if tick == round(tick)):
            parts.append(svg.text(self._x(at), bottom + 16, str(at), "middle"))
        parts.append(svg.text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 32, "round", "middle"))
        parts += [self._line(top, line) for line in lines]
        named = [line for line in lines if line.name]
        for at, line in enumerate(named):
            parts += _legend(line, at % _COLUMNS, bottom + _FOOT + _ROW * (at // _COLUMNS))
        return parts, bottom + _FOOT + _ROW * math.ceil(len(named) / _COLUMNS) + 8

    def _x(self, at: float) -> float:
        return _LEFT + at / self.rounds * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, top: float, value: float) -> float:
        low, high, value = (
            (math.log10(each) for each in (self.low, self.high, max(value, self.low)))
            if self.log
            else (self.low, self.high, value)
        )
        return top + _HEAD + (high - value) / (high - low) * self.height

    def _ticks(self) -> list[float]:
        if not self.log:
            return svg.ticks(self.low, self.high)
        powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
        return [10.0**power for power in powers]

    def _label(self, value: float) -> str:
        if self.log and value <= self.low:
            return f"≤{value:g}"
        return f"{value:.0%}" if self.percent else f"{value:g}"

    def _line(self, top: float, line: _Line) -> str:
        points = [
            f"{svg.number(self._x(at))},{svg.number(self._y(top, value))}"
            for at, value in enumerate(line.by_round)
            if math.isfinite(value)
        ]
        how = ' stroke-width="1" stroke-opacity="0.35"' if line.faint else f' stroke-width="2"{_dashes(line)}'
        return f'<polyline points="{" ".join(points)}" fill="none" stroke="{line.colour}"{how}/>'


def _legend(line: _Line, column: int, y: float) -> list[str]:
    x = _LEFT + column * (_WIDTH - _LEFT - _RIGHT) / _COLUMNS
    ends = f'x1="{svg.number(x)}" y1="{svg.number(y)}" x2="{svg.number(x + 18)}" y2="{svg.number(y)}"'
    mark = f'<line {ends} stroke="{line.colour}" stroke-width="2"{_dashes(line)}/>'
    return [mark, svg.text(x + 24, y + 4, line.name)]


def _dashes(line: _Line) -> str:
    return ' stroke-dasharray="5 3"' if line.dashed else ""
