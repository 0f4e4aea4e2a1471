"""Loss over the learning rate, of a trial in which the rate rises."""

from __future__ import annotations

import math
from collections.abc import Sequence

from segspade_core.figures import svg

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 40, 44


def rates_plot(rates: Sequence[float], losses: Sequence[float], suggested: float | None) -> str:
    """Draw the losses, and where the suggestion lies.

    Args:
        rates: rising, of each step.
        losses: of each step, finite.
        suggested: one of the rates, or None.

    Returns:
        SVG; it says so where there are fewer than two steps.
    """
    title = "Loss while the learning rate rises"
    if len(rates) < 2:
        return svg.document(_WIDTH, 60, title, [svg.text(12, 34, f"{title}: it was lost at once")])
    # the end, where the loss runs away, would flatten all that is to be seen
    low, high = min(losses), min(max(losses), 1.5 * losses[0])
    high = high if high > low else low + 1
    left, right = math.log10(rates[0]), math.log10(rates[-1])

    def x(rate: float) -> float:
        return _LEFT + (math.log10(rate) - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)

    def y(loss: float) -> float:
        return _TOP + (high - min(loss, high)) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [svg.text(_LEFT, 16, title, extra=' font-weight="600"')]
    for loss in svg.ticks(low, high):
        parts.append(svg.line(_LEFT, y(loss), _WIDTH - _RIGHT, y(loss)))
        parts.append(svg.text(_LEFT - 8, y(loss) + 4, f"{loss:g}", "end"))
    for power in range(math.ceil(left), math.floor(right) + 1):
        parts.append(svg.text(x(10.0**power), _HEIGHT - _BOTTOM + 16, f"{10.0**power:g}", "middle"))
    parts.append(svg.text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, "learning rate", "middle"))
    path = " ".join(
        f"{svg.number(x(rate))},{svg.number(y(loss))}" for rate, loss in zip(rates, losses, strict=True)
    )
    parts.append(f'<polyline points="{path}" fill="none" stroke="{svg.SERIES[0]}" stroke-width="2"/>')
    if suggested is not None:
        at = x(suggested)
        parts.append(svg.line(at, _TOP, at, _HEIGHT - _BOTTOM, 0.6))
        side = "end" if at > _WIDTH / 2 else "start"
        parts.append(svg.text(at + (-6 if side == "end" else 6), _TOP + 4, f"{suggested:.2g}", side))
    return svg.document(_WIDTH, _HEIGHT, title, parts)
