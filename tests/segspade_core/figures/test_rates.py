"""The plot of loss over learning rate."""

from __future__ import annotations

import itertools
import re

from segspade_core.figures.rates import rates_plot

RATES = [10.0 ** (at / 4 - 5) for at in range(17)]
LOSSES = [3.0] * 6 + [2.5, 2.0, 1.5, 1.2, 1.0, 1.1, 1.4, 2.0, 5.0, 80.0, 900.0]


def test_every_step_is_drawn_within_the_frame_and_the_suggestion_is_named() -> None:
    """Fault: the loss that runs away flattens the rest, or is drawn outside; a rate not on a log scale."""
    drawing = rates_plot(RATES, LOSSES, RATES[7])
    (points,) = re.findall(r'<polyline points="([^"]*)"', drawing)
    pairs = [tuple(map(float, pair.split(","))) for pair in points.split()]
    assert len(pairs) == len(RATES)
    across = [x for x, _ in pairs]
    assert max(b - a for a, b in itertools.pairwise(across)) < 40
    assert all(56 <= x <= 624 and 40 <= y <= 256 for x, y in pairs)
    depth = {y for _, y in pairs[:11]}
    assert max(depth) - min(depth) > 80, "the fall cannot be seen"
    assert "0.00056" in drawing
    for power in ("1e-05", "0.0001", "0.1"):
        assert f">{power}<" in drawing


def test_nothing_to_draw_is_said() -> None:
    assert "it was lost at once" in rates_plot([], [], None)
    assert "nan" not in rates_plot([0.1, 0.2], [1.0, 1.0], None)
