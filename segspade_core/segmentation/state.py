"""Everything a segmenter's training goes on from: network, optimiser, position, record, random states."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from segspade_core.config import SegmenterConfig
from segspade_core.segmentation.model import Segmenter
from segspade_core.training.checkpoint import (
    pack_state,
    restore_rng_states,
    restoring,
    rng_states,
    unpack_state,
)
from segspade_core.training.events import History


class TrainingState:
    """The state after `taken` steps; `pack` and `restore` carry it over a crash, bit for bit."""

    def __init__(self, config: SegmenterConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        self.model = Segmenter(config.encoder, config.num_classes, config.head)
        # channels last: what tensor cores want, and no slower on a CPU
        self.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = _adam(self.model, config, device)
        self.taken = 0
        self.history = History()

    def set_learning_rate(self, steps: int) -> float:
        """Apply the schedule for the step to come, of `steps` in all; returns the rate."""
        lr = self.config.lr * decay_factor(self.config.lr_schedule, self.taken / steps)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        return lr

    def pack(self) -> bytes:
        """All of it as one file."""
        return pack_state(
            {
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "taken": self.taken,
                "history": {"steps": self.history.steps, "epochs": self.history.epochs},
                "rng": rng_states(),
            },
            {"kind": "segmenter training", "config": self.config.model_dump(mode="json")},
        )

    def restore(self, content: bytes, source: str) -> None:
        """Go to where `pack` was called.

        Raises:
            InputError: the bytes are no checkpoint, or one of another config; the message names `source`.
        """
        state = unpack_state(content, source)
        with restoring(source, "this segmenter config"):
            self._load(state)

    def _load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        lay_out_like_parameters(self.optimiser)
        self.taken = state["taken"]
        self.history = History(state["history"]["steps"], state["history"]["epochs"])
        restore_rng_states(state["rng"])


def decay_factor(schedule: str, done: float) -> float:
    """Factor in [0, 1] on the learning rate when `done`, in [0, 1), of all steps are taken.

    Source: 'poly' of Chen et al., "DeepLab", TPAMI 2018, section 4.1, power 0.9; 'cosine' of Loshchilov and
    Hutter, "SGDR", ICLR 2017, equation 5, without restarts.
    """
    if schedule == "poly":
        return (1 - done) ** 0.9
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1.0


def lay_out_like_parameters(optimiser: torch.optim.Optimizer) -> None:
    """Give every moment the memory format of its parameter.

    A loaded moment is laid out plainly, and the fused step walks through memory: it would pair each weight
    with the moment of another.
    """
    for parameter, moments in optimiser.state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)


def _adam(model: nn.Module, config: SegmenterConfig, device: torch.device) -> torch.optim.AdamW:
    """Adam with decoupled weight decay on what multiplies; biases and batch norms are not decayed."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # fused: one pass over the weights in place of a dozen
    return torch.optim.AdamW(groups, lr=config.lr, fused=device.type in ("cpu", "cuda"))
