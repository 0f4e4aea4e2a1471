"""How sure a segmenter was, against how often it was right.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, figure 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segspade_core.figures import svg

_LEFT, _TOP, _SIDE = 64, 34, 260
_SHARES = 60  # height of the histogram below
_GAP = 34


def reliability_plot(calibration: Mapping[str, Any], title: str) -> str:
    """Draw a bar a bin of confidence, as high as the share of its pixels that are right.

    Args:
        calibration: of a summary: ece, mce, and bins of equal width with pixels, confidence and accuracy.
        title: for the drawing.

    Returns:
        SVG. On a calibrated model every bar ends on the diagonal; what is missing, or too much, is drawn in
        another colour. Below, how many of the pixels are in each bin.
    """
    bins = calibration["bins"]
    heading = svg.text(8, 16, title, extra=' font-weight="600"')
    total = sum(each["pixels"] for each in bins)
    if not total:
        return svg.document(400, 60, title, [heading, svg.text(8, 44, "no pixels were counted")])
    parts = [heading, *_axes()]
    width = _SIDE / len(bins)
    floor = _TOP + _SIDE + _GAP + _SHARES
    most = max(each["pixels"] for each in bins) / total
    for at, each in enumerate(bins):
        share = each["pixels"] / total
        if not each["pixels"]:
            continue
        low, high = sorted((each["accuracy"], each["confidence"]))
        tip = (
            f"confidence {at / len(bins):.0%} to {(at + 1) / len(bins):.0%}, mean {each['confidence']:.1%}: "
            f"{each['accuracy']:.1%} right, {share:.1%} of pixels"
        )
        x = _LEFT + at * width
        parts += [
            svg.rect(
                x + 1, _y(each["accuracy"]), width - 2, _side(each["accuracy"]), svg.SERIES[0], 0.8, tip
            ),
            svg.rect(x + 1, _y(high), width - 2, _side(high - low), svg.SERIES[1], 0.55, tip),
            svg.rect(
                x + 1,
                floor - share / most * _SHARES,
                width - 2,
                share / most * _SHARES,
                svg.SERIES[0],
                0.8,
                tip,
            ),
        ]
    right = _LEFT + _SIDE + 20
    parts += [
        svg.line(_LEFT, floor, _LEFT + _SIDE, floor, 0.5),
        svg.line(_LEFT, floor - _SHARES, _LEFT + _SIDE, floor - _SHARES),
        svg.text(_LEFT - 8, floor - _SHARES + 8, f"{most:.0%}", "end"),
        svg.text(_LEFT - 8, floor, "0%", "end"),
        svg.rect(right, _TOP + 6, 12, 12, svg.SERIES[0], 0.8),
        svg.text(right + 18, _TOP + 16, "share that is right"),
        svg.rect(right, _TOP + 28, 12, 12, svg.SERIES[1], 0.55),
        svg.text(right + 18, _TOP + 38, "from there to the mean confidence"),
        svg.text(right, _TOP + 66, f"expected calibration error {calibration['ece']:.1%}"),
        svg.text(right, _TOP + 84, f"largest gap of a bin {calibration['mce']:.1%}"),
        svg.text(right, floor - _SHARES + 8, "share of all pixels in each bin"),
    ]
    return svg.document(_LEFT + _SIDE + 260, floor + 10, title, parts)


def _y(fraction: float) -> float:
    return _TOP + (1 - fraction) * _SIDE


def _side(fraction: float) -> float:
    return fraction * _SIDE


def _axes() -> list[str]:
    parts = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts += [
            svg.line(_LEFT, _y(value), _LEFT + _SIDE, _y(value)),
            svg.text(_LEFT - 8, _y(value) + 4, f"{value:.0%}", "end"),
            svg.text(_LEFT + value * _SIDE, _TOP + _SIDE + 16, f"{value:.0%}", "middle"),
        ]
    parts.append(svg.line(_LEFT, _y(0), _LEFT + _SIDE, _y(1), 0.6))
    parts.append(svg.text(_LEFT + _SIDE + 20, _TOP + _SIDE + 16, "confidence"))
    return parts
