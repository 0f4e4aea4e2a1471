"""Loss curves: training as a running mean over steps, validation as points at the ends of epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segspade_core.figures import svg

_NOT_LOSSES = {"step", "epoch", "steps", "epochs", "lr", "lr_generator", "lr_discriminator", "grad_norm"}
_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 30, 40
_MOST_POINTS = 400


def running_mean(values: npt.NDArray[Any], window: int) -> npt.NDArray[np.float64]:
    """(N,) → (N,) mean of each value and up to `window` - 1 before it; nothing after it is looked at."""
    total = np.cumsum(np.concatenate([[0.0], np.asarray(values, np.float64)]))
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(stop - window, 0)
    return (total[stop] - total[start]) / (stop - start)


def loss_curves(steps: pd.DataFrame, epochs: pd.DataFrame, title: str) -> str:
    """Draw every loss of a training history.

    Args:
        steps: a row a step, with `epoch` or not; every other numeric column is a loss.
        epochs: a row an epoch; columns named val_loss… are drawn as points at the last step of their epoch.
        title: for the drawing.

    Returns:
        SVG; it says so where nothing was recorded.
    """
    names = [name for name in steps.columns if name not in _NOT_LOSSES and steps[name].notna().any()]
    points = [name for name in epochs.columns if name.startswith("val_") and "loss" in name]
    if steps.empty or not names:
        return svg.document(_WIDTH, 60, title, [svg.text(12, 34, f"{title}: no steps were recorded")])
    window = max(1, len(steps) // 25)
    x = np.arange(1, len(steps) + 1, dtype=np.float64)
    lines = {name: running_mean(steps[name].to_numpy(float), window) for name in names}
    ends = _epoch_ends(steps, len(epochs))
    dots = {name: epochs[name].to_numpy(float) for name in points if epochs[name].notna().any()}
    everything = np.concatenate([*lines.values(), *dots.values()])
    everything = everything[np.isfinite(everything)]
    low, high = min(0.0, float(everything.min())), float(everything.max())
    high = high if high > low else low + 1
    frame = _Frame(len(steps), low, high)
    parts = [svg.text(_LEFT, 16, title, extra=' font-weight="600"'), *frame.axes("step")]
    labels = []
    for at, (name, values) in enumerate(lines.items()):
        colour = svg.SERIES[at % len(svg.SERIES)]
        parts.append(frame.line(x, values, colour))
        labels.append((colour, f"{name} (mean of {window} steps)" if window > 1 else name, False))
    for at, (name, values) in enumerate(dots.items(), start=len(lines)):
        colour = svg.SERIES[at % len(svg.SERIES)]
        parts += frame.points(ends, values, colour, name)
        labels.append((colour, f"{name} (per epoch)", True))
    return svg.document(_WIDTH, _HEIGHT + 18 * len(labels), title, [*parts, *_legend(labels)])


def _epoch_ends(steps: pd.DataFrame, epochs: int) -> npt.NDArray[np.float64]:
    """Number of the last step of each epoch; evenly spread where the steps do not tell."""
    if "epoch" in steps.columns:
        numbered = np.cumsum(steps.groupby("epoch").size().to_numpy(), dtype=np.float64)
        if len(numbered) == epochs:
            return numbered
    return np.linspace(0, len(steps), epochs + 1)[1:]


class _Frame:
    """Axes from step 1 to `steps` and from `low` to `high`."""

    def __init__(self, steps: int, low: float, high: float) -> None:
        self.steps, self.low, self.high = steps, low, high

    def x(self, step: float) -> float:
        return _LEFT + (step - 1) / max(1, self.steps - 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _TOP + (self.high - value) / (self.high - self.low) * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self, below: str) -> list[str]:
        parts = []
        for value in svg.ticks(self.low, self.high):
            parts.append(svg.line(_LEFT, self.y(value), _WIDTH - _RIGHT, self.y(value)))
            parts.append(svg.text(_LEFT - 8, self.y(value) + 4, f"{value:g}", "end"))
        for step in svg.ticks(1, self.steps):
            parts.append(svg.text(self.x(step), _HEIGHT - _BOTTOM + 16, f"{step:g}", "middle"))
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        return [*parts, svg.text(middle, _HEIGHT - 8, below, "middle")]

    def line(self, x: npt.NDArray[Any], values: npt.NDArray[Any], colour: str) -> str:
        # a screen has no more columns than this; the last point always stays
        chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).round().astype(int))
        shown = [(self.x(x[at]), self.y(values[at])) for at in chosen.tolist() if np.isfinite(values[at])]
        path = " ".join(f"{svg.number(across)},{svg.number(down)}" for across, down in shown)
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'

    def points(self, x: npt.NDArray[Any], values: npt.NDArray[Any], colour: str, name: str) -> list[str]:
        return [
            f'<circle cx="{svg.number(self.x(step))}" cy="{svg.number(self.y(value))}" r="4" fill="{colour}">'
            f"<title>{svg.escape(name)} {value:.4g}, epoch {at}</title></circle>"
            for at, (step, value) in enumerate(zip(x.tolist(), values.tolist(), strict=True), start=1)
            if np.isfinite(value)
        ]


def _legend(labels: Sequence[tuple[str, str, bool]]) -> list[str]:
    parts = []
    for row, (colour, label, is_point) in enumerate(labels):
        y = _HEIGHT + 18 * row + 4
        if is_point:
            parts.append(f'<circle cx="{_LEFT + 9}" cy="{y}" r="4" fill="{colour}"/>')
        else:
            parts.append(svg.rect(_LEFT, y - 1.5, 18, 3, colour))
        parts.append(svg.text(_LEFT + 26, y + 4, label))
    return parts
