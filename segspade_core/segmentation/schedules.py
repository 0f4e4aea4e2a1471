"""Learning rate and momentum of a step: functions of settings and position, so that nothing is saved."""

from __future__ import annotations

import math

from segspade_core.config.optimisation import (
    CosineSchedule,
    OneCycleSchedule,
    PolySchedule,
    ScheduleConfig,
)
from segspade_core.errors import InputError


def rate_factor(config: ScheduleConfig, step: int, steps: int) -> float:
    """Factor in (0, 1] on the highest learning rate for step `step` (from 0) of `steps` in all.

    The schedule proper runs over the steps after the warm-up. In the warm-up, the rate rises in equal steps
    to the schedule's first value, which the step after it has; the first step of all has a part of it and not
    0, which would be a step for nothing.

    Raises:
        InputError: the warm-up leaves no step for the schedule.
        ValueError: there is no such step.

    Source: poly of Chen et al., "DeepLab", TPAMI 2018, section 4.1; cosine of Loshchilov and Hutter, "SGDR",
    ICLR 2017, equation 5, without restarts; one cycle of Smith and Topin, "Super-Convergence", 2018, with a
    rise and a fall of its own length each; linear warm-up of Goyal et al., "Accurate, Large Minibatch SGD",
    2017, section 2.2.
    """
    warmup = _warmup(config, step, steps)
    after = _after_warmup(config, max(step - warmup, 0), steps - warmup)
    return after * (step + 1) / (warmup + 1) if step < warmup else after


def momentum_at(config: ScheduleConfig, step: int, steps: int) -> float | None:
    """Momentum for step `step` (from 0) of `steps`; None leaves the optimiser's own.

    Only one cycle may move it: down from the highest while the rate rises, and up again while it falls; at
    the highest in the warm-up.

    Raises:
        InputError, ValueError: as `rate_factor`.
    """
    warmup = _warmup(config, step, steps)
    if not isinstance(config, OneCycleSchedule) or config.momentum is None:
        return None
    highest, lowest = config.momentum
    return _cycle(config, max(step - warmup, 0), steps - warmup, (highest, lowest, highest))


def _warmup(config: ScheduleConfig, step: int, steps: int) -> int:
    """Steps of the warm-up."""
    if not 0 <= step < steps:
        raise ValueError(f"step {step} of {steps}: steps count from 0")
    if config.warmup_steps >= steps:
        raise InputError(
            f"schedule.warmup_steps: {config.warmup_steps} of {steps} steps in all leave none to train with; "
            "lower it, or give warmup_share, such as 0.05"
        )
    return config.warmup_steps or min(round(config.warmup_share * steps), steps - 1)


def _after_warmup(config: ScheduleConfig, step: int, steps: int) -> float:
    done = step / steps  # in [0, 1)
    if isinstance(config, PolySchedule):
        return _above(config.end, (1 - done) ** config.power)
    if isinstance(config, CosineSchedule):
        return _above(config.end, 0.5 * (1 + math.cos(math.pi * done)))
    if isinstance(config, OneCycleSchedule):
        return _cycle(config, step, steps, (config.start, 1.0, config.end))
    return 1.0


def _above(end: float, share: float) -> float:
    return end + (1 - end) * share


def _cycle(config: OneCycleSchedule, step: int, steps: int, through: tuple[float, float, float]) -> float:
    """From the first of three values to the second, and on to the third, which the last step has."""
    start, top, end = through
    peak = config.rise * steps - 1
    if step <= peak:
        # a rise of one step alone is over at once
        return _between(config.shape, start, top, step / peak if peak else 1.0)
    return _between(config.shape, top, end, (step - peak) / (steps - 1 - peak))


def _between(shape: str, start: float, end: float, done: float) -> float:
    return start + (end - start) * (done if shape == "linear" else 0.5 * (1 - math.cos(math.pi * done)))
