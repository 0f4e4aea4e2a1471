"""Everything a segmenter's training goes on from: networks, optimiser, position, record, random states."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from segspade_core.config import SegmenterConfig
from segspade_core.segmentation.label_space import unpredicted
from segspade_core.segmentation.model import Segmenter
from segspade_core.segmentation.optimisers import build_optimiser, load_optimiser, set_rates
from segspade_core.segmentation.schedules import momentum_at, rate_factor
from segspade_core.segmentation.weights import start_from
from segspade_core.training.averaging import average_of, decay_at, follow
from segspade_core.training.checkpoint import (
    pack_state,
    restore_rng_states,
    restoring,
    rng_states,
    unpack_state,
)
from segspade_core.training.distributed import join_batch_norms
from segspade_core.training.events import History


class TrainingState:
    """The state after `taken` steps; `pack` and `restore` carry it over a crash, bit for bit.

    It is the same in all processes that train together, and any number of them may go on from it.

    Attributes:
        average: of the weights so far, where the config asks for one.
        class_counts: (C,) int64 pixels of each class in the training labels, once they are known.
    """

    def __init__(self, config: SegmenterConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        self.model = Segmenter(config.encoder, config.num_classes, config.head, config.label_space)
        join_batch_norms(self.model)
        # channels last: what tensor cores want, and no slower on a CPU
        self.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = None if config.average is None else average_of(self.model)
        self.optimiser = build_optimiser(self.model, config.optimiser, device)
        self.class_counts: Tensor | None = None
        self.taken = 0
        self.history = History()

    @property
    def published(self) -> Segmenter:
        """The network that is scored and published: the average where there is one."""
        return self.model if self.average is None else self.average

    def start(self, class_counts: Tensor) -> None:
        """Take the weights that the config starts from.

        Args:
            class_counts: (C,) int64 pixels of each class in the training labels.

        Raises:
            WeightsError: they cannot be had or do not fit.
        """
        self.class_counts = class_counts
        taught = start_from(self.model, self.config.weights) | set(class_counts.nonzero().flatten().tolist())
        void = unpredicted(self.config.label_space)
        self._set_untaught(c for c in range(self.config.num_classes) if c not in taught and c not in void)
        if self.average is not None:
            self.average.load_state_dict(self.model.state_dict())

    def _set_untaught(self, classes: Iterable[int]) -> None:
        self.model.untaught = tuple(classes)
        if self.average is not None:
            self.average.untaught = self.model.untaught

    def set_rates(self, steps: int) -> float:
        """Apply the schedule for the step to come, of `steps` in all; returns the highest rate of its groups.

        Raises:
            InputError: the warm-up leaves no step for the schedule.
        """
        lr = self.config.optimiser.lr * rate_factor(self.config.schedule, self.taken, steps)
        set_rates(self.optimiser, lr, momentum_at(self.config.schedule, self.taken, steps))
        return lr

    def advance(self) -> None:
        """Count a step that the optimiser took; the average follows."""
        self.taken += 1
        if self.average is not None and self.config.average is not None:
            config = self.config.average
            follow(self.average, self.model, decay_at(config.decay, self.taken, warm_up=config.warm_up))

    def pack(self) -> bytes:
        """All of it as one file."""
        return pack_state(
            {
                "model": self.model.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "class_counts": self.class_counts,
                "untaught": list(self.model.untaught),
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
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        load_optimiser(self.optimiser, state["optimiser"])
        self.class_counts = state["class_counts"]
        self._set_untaught(state["untaught"])
        self.taken = state["taken"]
        self.history = History(state["history"]["steps"], state["history"]["epochs"])
        restore_rng_states(state["rng"])
