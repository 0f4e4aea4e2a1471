"""New samples beside those that a model was trained on: how bright and so on, and how much of each label."""

from __future__ import annotations

from collections.abc import Sequence

from segspade_core.figures.svg import INK, SERIES, document, line, number, rect, text
from segspade_core.metrics.drift import Drift

_BEFORE, _NEW = SERIES[0], SERIES[1]
_WIDTH, _LEFT, _PLOT = 720, 150, 380
_ROW = 30
_LABELS = 16  # the largest distances


def drift_figure(found: Sequence[Drift], before: int, new: int) -> str:
    """An SVG: a row a measure, with the spread of both sets of samples, and what drifted in words.

    Args:
        found: what `compare_samples` found; of labels, the first 16 are shown.
        before, new: how many samples there are of each.
    """
    images = [drift for drift in found if drift.kind == "image"]
    labels = [drift for drift in found if drift.kind == "label"][:_LABELS]
    parts = [_legend(before, new)]
    y = 58.0
    for title, rows, unit in (
        ("Photographs, 0 to 255", images, ""),
        ("Share of each label's pixels", labels, "%"),
    ):
        if rows:
            parts.append(text(0, y, title, extra=' font-weight="600"'))
            y += 14
            for drift in rows:
                parts += _row(drift, y, unit)
                y += _ROW
            y += 24
    if not found:
        parts.append(text(0, y, "There is nothing to compare."))
        y += 24
    return document(_WIDTH, y, "Drift of new samples", parts)


def _legend(before: int, new: int) -> str:
    how = "line 5 to 95 %, bar 25 to 75 %, tick median; each row has a scale of its own; numbers are means"
    return "".join(
        [
            rect(0, 6, 12, 12, _BEFORE),
            text(18, 16, f"trained on ({before})"),
            rect(160, 6, 12, 12, _NEW),
            text(178, 16, f"new ({new})"),
            text(0, 36, how, extra=' opacity="0.7"'),
        ]
    )


def _row(drift: Drift, y: float, unit: str) -> list[str]:
    low = min(drift.reference[0], drift.new[0], 0.0 if unit else drift.new[0])
    high = max(drift.reference[-1], drift.new[-1])
    span = high - low or 1.0

    def x(value: float) -> float:
        return _LEFT + _PLOT * (value - low) / span

    factor = 100 if unit else 1
    parts = [text(_LEFT - 10, y + 16, drift.name, anchor="end")]
    for quantiles, colour, top in ((drift.reference, _BEFORE, y + 4), (drift.new, _NEW, y + 15)):
        tip = f"{drift.name}: median {factor * quantiles[2]:.3g}{unit}"
        parts += [
            line(x(quantiles[0]), top + 4, x(quantiles[4]), top + 4, 0.5),
            rect(x(quantiles[1]), top, max(x(quantiles[3]) - x(quantiles[1]), 1), 8, colour, 0.75, tip),
            f'<path d="M{number(x(quantiles[2]))} {number(top - 1)}v10" stroke="{INK}" stroke-width="2"/>',
        ]
    means = f"{factor * drift.reference_mean:.3g} → {factor * drift.new_mean:.3g}{unit}"
    parts.append(text(_LEFT + _PLOT + 14, y + 16, means))
    if drift.drifted:
        parts.append(text(_WIDTH, y + 16, "DRIFT", anchor="end", extra=' font-weight="700"'))
    return parts
