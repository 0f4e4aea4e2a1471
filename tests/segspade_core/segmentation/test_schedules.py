"""Schedules against torch's, at hand-worked values, and what must hold for every one of them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch.optim import lr_scheduler

from segspade_core.config.optimisation import (
    ConstantSchedule,
    CosineSchedule,
    OneCycleSchedule,
    PolySchedule,
    ScheduleConfig,
)
from segspade_core.errors import InputError
from segspade_core.segmentation.schedules import momentum_at, rate_factor

KINDS = (ConstantSchedule, PolySchedule, CosineSchedule, OneCycleSchedule)
schedules = st.builds(
    lambda kind, share: kind(warmup_share=share),
    st.sampled_from(KINDS),
    st.sampled_from([0, 0.05, 0.5, 0.99]),
)
quick = settings(deadline=None, max_examples=80)


def factors(config: ScheduleConfig, steps: int) -> list[float]:
    return [rate_factor(config, step, steps) for step in range(steps)]


def read(config: dict[str, Any]) -> ScheduleConfig:
    parsed: ScheduleConfig = TypeAdapter(ScheduleConfig).validate_python(config)
    return parsed


def torch_rates(build: Any, steps: int) -> tuple[list[float], list[float]]:
    """Rates and momenta that a scheduler of torch gives an SGD of rate 1."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    scheduler = build(optimiser)
    rates, momenta = [], []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        momenta.append(optimiser.param_groups[0]["momentum"])
        optimiser.step()
        scheduler.step() if len(rates) < steps else None
    return rates, momenta


def test_poly_and_cosine_are_torchs() -> None:
    """Fault: a power of what is done, a whole cosine, an end that is never neared."""
    for power in (0.9, 2.0):
        expected, _ = torch_rates(lambda o, p=power: lr_scheduler.PolynomialLR(o, 40, p), 40)
        assert factors(PolySchedule(power=power), 40) == pytest.approx(expected, rel=1e-9)
    for end in (0.0, 0.1):
        expected, _ = torch_rates(lambda o, e=end: lr_scheduler.CosineAnnealingLR(o, 40, e), 40)
        assert factors(CosineSchedule(end=end), 40) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize("steps", [7, 40, 101])
def test_one_cycle_is_torchs(shape: str, steps: int) -> None:
    """Fault: the peak a step off, the fall to `start` and not to `end`, momentum along with the rate."""

    def build(optimiser: torch.optim.Optimizer) -> Any:
        return lr_scheduler.OneCycleLR(
            optimiser, 1.0, steps, pct_start=0.4, anneal_strategy={"cosine": "cos"}.get(shape, shape),
            base_momentum=0.85, max_momentum=0.95, div_factor=20, final_div_factor=100,
        )  # fmt: skip

    rates, momenta = torch_rates(build, steps)
    config = OneCycleSchedule(
        rise=0.4, start=1 / 20, end=1 / 2000, shape=shape, momentum=(0.95, 0.85)  # type: ignore[arg-type]
    )  # fmt: skip
    assert factors(config, steps) == pytest.approx(rates, rel=1e-9)
    assert [momentum_at(config, step, steps) for step in range(steps)] == pytest.approx(momenta, rel=1e-9)


def test_warm_up_is_torchs() -> None:
    """Fault: a first step at 0, or the schedule running on beneath the warm-up."""

    def build(optimiser: torch.optim.Optimizer) -> Any:
        warm = lr_scheduler.LinearLR(optimiser, start_factor=1 / 6, total_iters=5)
        return lr_scheduler.SequentialLR(
            optimiser, [warm, lr_scheduler.PolynomialLR(optimiser, 35, 0.9)], [5]
        )

    expected, _ = torch_rates(build, 40)
    assert factors(PolySchedule(warmup_steps=5), 40) == pytest.approx(expected, rel=1e-9)
    assert factors(PolySchedule(warmup_share=0.125), 40) == factors(PolySchedule(warmup_steps=5), 40)


def test_schedules_by_hand() -> None:
    assert factors(ConstantSchedule(), 3) == [1, 1, 1]
    assert factors(ConstantSchedule(warmup_steps=3), 5) == [0.25, 0.5, 0.75, 1, 1]
    assert factors(PolySchedule(power=1), 4) == [1, 0.75, 0.5, 0.25]
    assert factors(PolySchedule(power=1, end=0.5), 4) == [1, 0.875, 0.75, 0.625]
    assert rate_factor(PolySchedule(), 1, 2) == pytest.approx(0.535887, abs=1e-6)
    assert rate_factor(CosineSchedule(), 3, 4) == pytest.approx(0.146447, abs=1e-6)
    # 3 + 8 steps: a warm-up to 0.2, then the peak of 1 at step 3 of the cycle, and 0.1 at its last
    config = OneCycleSchedule(rise=0.5, start=0.2, end=0.1, shape="linear", warmup_steps=3)
    expected = [0.05, 0.1, 0.15, 0.2, 0.2 + 0.8 / 3, 0.2 + 1.6 / 3, 1, 0.775, 0.55, 0.325, 0.1]
    assert factors(config, 11) == pytest.approx(expected)


@pytest.mark.parametrize("steps", [1, 9, 1000])
def test_what_was_configured_before_gives_the_same_rates_bit_for_bit(steps: int) -> None:
    """Golden: what the loop did before there were warm-ups and ends."""
    before = {
        "constant": lambda done: 1.0,
        "poly": lambda done: (1 - done) ** 0.9,
        "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    }
    for kind, factor in before.items():
        assert factors(read({"kind": kind}), steps) == [factor(taken / steps) for taken in range(steps)]


@quick
@given(schedules, st.integers(1, 300))
def test_every_schedule_rises_once_and_falls_once(config: ScheduleConfig, steps: int) -> None:
    """Fault: a rate of 0 or above the highest, a jump at the warm-up's end, a second rise."""
    rates = factors(config, steps)
    assert all(0 < rate <= 1 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    warmup = min(round(config.warmup_share * steps), steps - 1)
    rises = [b - a for a, b in pairwise(rates[: warmup + 1])]
    assert rises == pytest.approx([rates[0]] * warmup), "the last of them leads to the schedule's first value"


@quick
@given(schedules, st.integers(2, 50), st.integers(2, 20))
def test_a_schedule_is_a_function_of_what_is_done(config: ScheduleConfig, steps: int, finer: int) -> None:
    """Fault: lengths in steps where they are shares, so that more data train by another curve."""
    if config.kind == "one_cycle" or config.warmup_share:
        return  # the peak is a step before its share, and a warm-up is rounded to steps
    for step in range(steps):
        assert rate_factor(config, step * finer, steps * finer) == pytest.approx(
            rate_factor(config, step, steps)
        )


def test_momentum_moves_in_one_cycle_alone() -> None:
    assert momentum_at(CosineSchedule(), 1, 4) is None
    assert momentum_at(OneCycleSchedule(), 1, 4) is None
    config = OneCycleSchedule(momentum=(0.95, 0.8), rise=0.5, warmup_steps=4, shape="linear")
    found = [momentum_at(config, step, 12) for step in range(12)]
    assert found == pytest.approx([0.95] * 5 + [0.9, 0.85, 0.8, 0.8375, 0.875, 0.9125, 0.95])


def test_what_means_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"^schedule.warmup_steps: 500 of 300 steps in all leave none to "):
        rate_factor(PolySchedule(warmup_steps=500), 0, 300)
    for step in (-1, 3):
        with pytest.raises(ValueError, match=f"^step {step} of 3: steps count from 0"):
            rate_factor(ConstantSchedule(), step, 3)
    for wrong, message in (
        ({"warmup_steps": 3, "warmup_share": 0.1}, "both say how long the warm-up is: give one"),
        ({"kind": "one_cycle", "momentum": (0.8, 0.9)}, "the highest comes first"),
        ({"kind": "poly", "power": 0}, "greater than 0"),
        ({"kind": "cosine", "power": 1}, "Extra inputs are not permitted"),
    ):
        with pytest.raises(ValidationError, match=message):
            read(wrong)
    assert read({}) == ConstantSchedule()
    assert not math.isnan(rate_factor(OneCycleSchedule(rise=0.5), 0, 2)), "a rise of no length"
