"""Where training stands, and the checks that stop it before a NaN reaches a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from segspade_core.errors import TrainingDiverged
from segspade_core.training.checkpoint import CHECKPOINT


@dataclass(frozen=True)
class Place:
    """Where training stands, for messages: position from 0, steps an epoch, steps at the last checkpoint."""

    epoch: int
    step: int
    steps: int
    good: int

    def __str__(self) -> str:
        return f"step {self.step + 1} of epoch {self.epoch + 1}"

    def back(self) -> str:
        """What can be gone back to."""
        if not self.good:
            return "no checkpoint was saved yet"
        epoch, step = divmod(self.good - 1, self.steps)
        return f"the last good checkpoint is '{CHECKPOINT}' from step {step + 1} of epoch {epoch + 1}"


def remedy_of(rates: str, precision: str) -> str:
    """What to change in the settings: the learning rates, by their names, and bf16 where it was used."""
    return f"lower {rates}" + (", or train with precision fp32" if precision != "fp32" else "")


def check_losses(losses: Mapping[str, float], place: Place, remedy: str) -> None:
    """Raise TrainingDiverged, naming step, term, checkpoint and `remedy`, unless every term is finite."""
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrainingDiverged(f"{place}: loss term '{name}' is {value}; {place.back()}; {remedy}")


def check_gradient(norm: float, place: Place, remedy: str) -> None:
    """Raise TrainingDiverged, as `check_losses`, unless the length of the gradient is finite."""
    if not math.isfinite(norm):
        raise TrainingDiverged(f"{place}: the length of the gradient is {norm}; {place.back()}; {remedy}")


def check_weights(networks: Mapping[str, nn.Module], place: Place, remedy: str) -> None:
    """Never replace a good checkpoint by one with NaN in it: a loss can be finite and its gradient not.

    Raises:
        TrainingDiverged: a parameter is not finite; the message names it.
    """
    for network, module in networks.items():
        for name, parameter in module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise TrainingDiverged(
                    f"{place}: weight '{name}' of the {network} is not finite; {place.back()}; {remedy}"
                )
