"""Segmenters side by side: how good each is against what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from segspade_core.figures import svg

_WIDTH, _HEIGHT = 340, 260  # of one panel, with its axes
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 40, 44


@dataclass(frozen=True)
class ComparedSegmenter:
    """One segmenter. Fractions are in [0, 1]; None stands for what is not known.

    Attributes:
        key: of the artifact.
        names: its aliases.
        encoder, head: of the network.
        dataset: key of what it was trained on.
        size: 'HxW' of that dataset, which everything here is measured at.
        classes: how many it tells apart: 34 label ids, or the 19 of the official score.
        val_miou: the best that training saw, over these classes.
        val_mious: after every epoch; empty where training had no val split.
        scored_at: size that the scores compare at, and looks, if more than one was taken; None likewise.
        scored_miou: over label ids, on val, from the scores; None where nobody scored it.
        scored_miou_19: likewise over the 19 official classes.
        training_images_per_second: in the whole of its training, with validation and checkpoints.
        images_per_second: in prediction, now and here.
        parameters: count.
        macs: multiply-accumulates of one photograph.
    """

    key: str
    names: tuple[str, ...]
    encoder: str
    head: str
    dataset: str
    size: str
    classes: int
    val_miou: float | None
    val_mious: tuple[float, ...]
    scored_at: str | None
    scored_miou: float | None
    scored_miou_19: float | None
    training_images_per_second: float | None
    images_per_second: float
    parameters: int
    macs: int

    @property
    def label(self) -> str:
        """What the plot calls it."""
        return f"{self.encoder} {self.head}  ({self.names[0] if self.names else self.key[:8]})"


def comparison_plot(segmenters: Sequence[ComparedSegmenter]) -> str:
    """Draw mIoU against GMACs, against images per second, and as it rose in training.

    In the first two panels, the mIoU is that of the scores if all have been scored, else that of training,
    which never measured on other frames than it chose by. A segmenter that has none is in the list alone. In
    the third, the number stands at the best epoch, which is the one that is published.

    Returns:
        SVG.
    """
    scored = all(each.scored_miou is not None for each in segmenters)
    miou = [each.scored_miou if scored else each.val_miou for each in segmenters]
    what = "mIoU on val" + ("" if scored else ", as training saw it")
    gmacs = [each.macs / 1e9 for each in segmenters]
    speed = [each.images_per_second for each in segmenters]
    parts = _panel(0, gmacs, miou, what, "GMACs of one photograph (← cheaper)")
    parts += _panel(_WIDTH, speed, miou, "", "images a second (faster →)")
    parts += _curves(2 * _WIDTH, [each.val_mious for each in segmenters])
    for at, each in enumerate(segmenters):
        y = _HEIGHT + 18 * at + 16
        known = "" if miou[at] is not None else ": its mIoU is not known"
        parts += [_mark(_LEFT + 8, y, at), svg.text(_LEFT + 24, y + 4, each.label + known)]
    return svg.document(3 * _WIDTH, _HEIGHT + 18 * len(segmenters) + 12, "Segmenters compared", parts)


def _panel(
    start: float, across: Sequence[float], up: Sequence[float | None], heading: str, below: str
) -> list[str]:
    highest = max([value for value in up if value is not None], default=1.0)
    x, y, parts = _axes(start, max(across, default=1.0) * 1.08 or 1.0, highest, heading, below)
    for at, (cost, value) in enumerate(zip(across, up, strict=True)):
        if value is not None:
            parts.append(_mark(x(cost), y(value), at, f"{value:.1%}, {cost:.3g}"))
    return parts


def _curves(start: float, curves: Sequence[Sequence[float]]) -> list[str]:
    """mIoU after every epoch."""
    highest = max([value for curve in curves for value in curve], default=1.0)
    longest = max([len(curve) for curve in curves], default=1)
    x, y, parts = _axes(start, max(longest, 1), highest, "mIoU on val, as training saw it", "epoch")
    marks = []
    for at, curve in enumerate(curves):
        if not curve:
            continue
        colour = svg.SERIES[at % len(svg.SERIES)]
        points = " ".join(f"{svg.number(x(epoch))},{svg.number(y(m))}" for epoch, m in enumerate(curve, 1))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        best = max(curve)
        epoch = curve.index(best) + 1
        marks.append(_mark(x(epoch), y(best), at, f"{best:.1%}, epoch {epoch}"))
    return [*parts, *marks]


def _axes(
    start: float, most: float, highest: float, heading: str, below: str
) -> tuple[Callable[[float], float], Callable[[float], float], list[str]]:
    """Where a number lies across and up, and the lines and words of one panel."""
    top = min(1.0, highest * 1.15) or 1.0
    x = _scale(0, most, start + _LEFT, start + _WIDTH - _RIGHT)
    y = _scale(0, top, _HEIGHT - _BOTTOM, _TOP)
    left, right, bottom = start + _LEFT, start + _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [svg.text(start + 8, 18, heading, extra=' font-weight="600"')] if heading else []
    for tick in svg.ticks(0, top):
        parts += [
            svg.line(left, y(tick), right, y(tick)),
            svg.text(left - 8, y(tick) + 4, f"{tick:.0%}", "end"),
        ]
    for tick in svg.ticks(0, most):
        parts += [svg.line(x(tick), bottom, x(tick), bottom + 4, 0.5)]
        parts += [svg.text(x(tick), bottom + 18, f"{tick:g}", "middle")]
    parts += [
        svg.line(left, bottom, right, bottom, 0.5),
        svg.text((left + right) / 2, bottom + 38, below, "middle"),
    ]
    return x, y, parts


def _mark(x: float, y: float, at: int, tip: str = "") -> str:
    """A disc with its number: told apart without its colour, too."""
    colour = svg.SERIES[at % len(svg.SERIES)]
    title = f"<title>{svg.escape(tip)}</title>" if tip else ""
    return (
        f'<circle cx="{svg.number(x)}" cy="{svg.number(y)}" r="8" fill="{colour}">{title}</circle>'
        f'<text x="{svg.number(x)}" y="{svg.number(y + 4)}" text-anchor="middle" fill="#fff" '
        f'font-size="11" font-weight="700">{at + 1}</text>'
    )


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    return lambda value: first + (value - low) / (high - low) * (last - first)
