"""Event files, by which TensorBoard shows a training: `tensorboard --logdir workspace/tensorboard`.

They are no part of the artifact: they hold times, and a training that was cut short leaves a file for each of
its parts.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Self

import yaml

from segspade_core.training.events import EpochEvent, StepEvent
from tasks.plan import Plan

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

FOLDER = "tensorboard"  # of the workspace
_FLUSH_S = 10


class EventFiles:
    """The event files of one training, under its kind and key; begun with the first event."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._writer: SummaryWriter | None = None
        self._steps = 0  # taken so far, those before a break included

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, event: StepEvent | EpochEvent) -> None:
        """Write what an event tells: losses under 'step/', values of an epoch under 'epoch/'."""
        if isinstance(event, StepEvent):
            self._steps = (event.epoch - 1) * event.steps + event.step
            group, values = "step", event.losses
        else:
            group, values = "epoch", event.values
        writer = self._writer = self._writer or self._begin()
        for name, value in values.items():
            writer.add_scalar(f"{group}/{name}", value, self._steps)

    def _begin(self) -> SummaryWriter:
        from tensorboardX import SummaryWriter  # here: not every training process writes

        # steps from here on are told anew: those of a part that was killed are struck out
        writer = SummaryWriter(
            str(self.plan.workspace / FOLDER / self.plan.kind / self.plan.key),
            purge_step=self._steps,
            flush_secs=_FLUSH_S,
            # else the name ends in whole seconds, and what goes on within one would write over it
            filename_suffix=f".{os.getpid()}.{self._steps}",
        )
        settings = yaml.safe_dump(self.plan.config, sort_keys=False)
        writer.add_text("config", "\n".join(f"    {line}" for line in settings.splitlines()), self._steps)
        return writer
