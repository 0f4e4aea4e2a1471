"""What a training loop tells while it runs; each is one line of JSON on the way to a progress bar."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class StepEvent:
    """One optimiser step was taken. `epoch` and `step` count from 1."""

    epoch: int
    epochs: int
    step: int
    steps: int
    losses: dict[str, float]


@dataclass(frozen=True)
class EpochEvent:
    """One epoch ended. `values` holds what is recorded per epoch, such as val_loss and val_miou."""

    epoch: int
    epochs: int
    values: dict[str, float]
    panel: list[list[np.ndarray]] | None = None  # rows of maps and images: what the network does by now


@dataclass
class History:
    """The record of a training run: one row a step and one row an epoch, in order, without times."""

    steps: list[dict[str, float]] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)

    def step_means(self, steps: int) -> dict[str, float]:
        """The mean of everything recorded in each of the last `steps` steps, position aside."""
        rows = self.steps[-steps:]
        names = [name for name in rows[0] if name not in ("epoch", "step")]
        return {name: math.fsum(row[name] for row in rows) / len(rows) for name in names}


EventSink = Callable[[StepEvent | EpochEvent], None]


class TrainingStopped(Exception):
    """Training was asked to stop and has saved its state; the next run goes on from there."""

    def __init__(self, epoch: int, step: int) -> None:
        self.epoch, self.step = epoch, step
        super().__init__(f"stopped after step {step} of epoch {epoch}; run again to go on")
