"""Exponential moving averages of a network's weights and batch statistics.

The average is a network like the one it follows: its `state_dict`, tensors by name, is all that a checkpoint
has to keep, and `decay_at` needs nothing but the number of steps.

Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; with exponential
weights, Tarvainen and Valpola, "Mean Teachers Are Better Role Models", NeurIPS 2017.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def average_of(live: Network) -> Network:
    """A network that starts as `live` is now and has no gradients."""
    return copy.deepcopy(live).requires_grad_(False)


def decay_at(decay: float, taken: int, *, warm_up: bool = True) -> float:
    """Share of the old average in the next, after `taken` steps, the one that is followed included.

    With warm-up, (1 + taken) / (10 + taken) while that is smaller: the random start is soon forgotten.
    """
    return min(decay, (1 + taken) / (10 + taken)) if warm_up else decay


@torch.no_grad()
def follow(average: nn.Module, live: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * live, for parameters and batch statistics.

    Other buffers are copied: of a counter there is no mean, and a mean of two unit vectors, such as u and v
    of a spectral norm, is no unit vector.
    """
    for mean, value in zip(average.parameters(), live.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
    for (name, kept), current in zip(average.named_buffers(), live.buffers(), strict=True):
        if name.endswith(("running_mean", "running_var")):
            kept.lerp_(current, 1 - decay)
        else:
            kept.copy_(current)
