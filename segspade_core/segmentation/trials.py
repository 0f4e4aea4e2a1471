"""Short trainings that are thrown away: which learning rate to take, and whether a network learns at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from segspade_core.config import AugmentConfig, SegmenterConfig
from segspade_core.errors import InputError, TrainingDiverged
from segspade_core.labels import IGNORE_ID
from segspade_core.segmentation.batches import Batch, LabelledImages
from segspade_core.segmentation.checks import check_training
from segspade_core.segmentation.choice import choose_classes
from segspade_core.segmentation.optimisers import set_rates
from segspade_core.segmentation.state import TrainingState
from segspade_core.segmentation.step import Updates
from segspade_core.training.divergence import Place

_SMOOTHING = 0.9  # of the losses, as a running mean
_DIVERGED = 4.0  # times the smallest loss: the rate is far too high
_LEARNED = 0.95  # share of the pixels of a batch that must come out right
_STEEP = 5  # steps that a slope is measured over

Told = Callable[[int, int, str], None]  # steps done, of how many, and what to say of the last


@dataclass(frozen=True)
class RateRange:
    """Loss over a learning rate that rises at every step.

    Attributes:
        rates: of each step, rising.
        losses: running mean up to each step.
        suggested: where the loss falls steepest; None where it never falls.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggested: float | None


@dataclass(frozen=True)
class Memorised:
    """What a network made of one batch that it saw again and again.

    Attributes:
        steps: taken; fewer than allowed where all was learned before.
        first_loss: of the first step.
        last_loss: of the last.
        pixel_accuracy: of the batch's known pixels at the end, in [0, 1], in evaluation mode.
    """

    steps: int
    first_loss: float
    last_loss: float
    pixel_accuracy: float

    @property
    def learned(self) -> bool:
        """Whether nearly all pixels come out right, as they must if model, loss and labels fit."""
        return self.pixel_accuracy >= _LEARNED


def try_rates(
    config: SegmenterConfig,
    images: Any,
    label_ids: Any,
    *,
    device: torch.device | str = "cpu",
    steps: int = 100,
    lowest: float = 1e-7,
    highest: float = 1.0,
    told: Told = lambda done, steps, values: None,
) -> RateRange:
    """Train while the rate rises by the same factor at every step, until the loss is lost.

    Groups of weights keep their ratios to one another; schedule and momentum of the config are left aside.

    Args:
        images: (N, H, W, 3) uint8, anything that slices like an array.
        label_ids: (N, H, W) uint8.
        steps: at most, at least 10.
        told: after every step.

    Raises:
        InputError: the arrays do not fit each other, or there are too few steps, or no range.
        WeightsError: `config.weights` cannot be had or do not fit.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3.
    """
    if steps < 10 or not 0 < lowest < highest:
        raise InputError(
            f"{steps} steps from rate {lowest:g} to {highest:g}: take 10 steps or more, and rates that rise"
        )
    train, state = _beginning(config, images, label_ids, device)
    updates, an_epoch = Updates(state), train.updates(config)
    rates, losses, mean, best = [], [], 0.0, math.inf
    for step in range(steps):
        rate = lowest * (highest / lowest) ** (step / (steps - 1))
        epoch, at = divmod(step, an_epoch)
        set_rates(state.optimiser, rate, None)
        try:
            loss = updates.take(train.batches(config, epoch, at), Place(epoch, at, an_epoch, 0))["loss"]
        except TrainingDiverged:
            break
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        rates.append(rate)
        losses.append(mean / (1 - _SMOOTHING ** (step + 1)))  # without the zero that the mean started from
        told(step + 1, steps, f"rate {rate:.2g} loss {losses[-1]:.4g}")
        best = min(best, losses[-1])
        if losses[-1] > _DIVERGED * best:
            break
    return RateRange(tuple(rates), tuple(losses), _steepest(rates, losses))


def _steepest(rates: list[float], losses: list[float]) -> float | None:
    """The rate in the middle of the steepest fall over some steps; every step is as far on a log scale."""
    stop = int(np.argmin(losses)) + 1 if losses else 0
    if stop <= _STEEP:
        return None
    falls = np.asarray(losses[:stop])
    slopes = falls[_STEEP:] - falls[:-_STEEP]
    at = int(np.argmin(slopes))
    return rates[at + _STEEP // 2] if slopes[at] < 0 else None


def memorise(
    config: SegmenterConfig,
    images: Any,
    label_ids: Any,
    *,
    device: torch.device | str = "cpu",
    steps: int = 200,
    told: Told = lambda done, steps, values: None,
) -> Memorised:
    """Train on the first batch alone, as it is, at the config's highest rate, until it is known by heart.

    Args, raises: as `try_rates`; and TrainingDiverged, where loss or gradient are not finite.
    """
    if steps < 1:
        raise InputError(f"{steps} steps: take 1 or more")
    config = config.model_copy(update={"augment": AugmentConfig(flip=0.0), "accumulate": 1})
    train, state = _beginning(config, images, label_ids, device)
    updates, batch = Updates(state), train.batch(config, 0, 0)
    set_rates(state.optimiser, config.optimiser.lr, None)
    first, loss, accuracy, step = math.nan, math.nan, 0.0, 0
    for step in range(1, steps + 1):
        # counted in epochs of one step, so that an encoder that is frozen at first thaws
        loss = updates.take((batch,), Place(step - 1, 0, 1, 0))["loss"]
        first = loss if step == 1 else first
        if step % 10 == 0 or step == steps:
            accuracy = _accuracy(state, batch)
        told(step, steps, f"loss {loss:.4g}, {accuracy:.1%} of pixels right")
        if accuracy >= _LEARNED:
            break
    return Memorised(step, first, loss, accuracy)


def _beginning(
    config: SegmenterConfig, images: Any, label_ids: Any, device: torch.device | str
) -> tuple[LabelledImages, TrainingState]:
    """What a training has before its first step."""
    train = LabelledImages("train", images, label_ids, config.num_classes, config.label_space)
    config = config.model_copy(update={"early_stopping": None, "average": None})
    check_training(config, train, None)
    state = TrainingState(config, torch.device(device))
    state.start(train.class_counts())
    return train, state


@torch.inference_mode()
def _accuracy(state: TrainingState, batch: Batch) -> float:
    images, targets = batch.to(state.device)
    state.model.eval()
    chosen = choose_classes(state.model(images), state.config.label_space, state.model.untaught)
    known = targets != IGNORE_ID
    return float((chosen == targets)[known].float().mean()) if known.any() else 0.0
