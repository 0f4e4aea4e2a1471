"""What the page of a run shows of a training in the Prefect UI: losses, images per second, a panel."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import yaml
from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext, TaskRunContext

from segspade_core.figures.curves import loss_curves
from segspade_core.figures.svg import data_uri
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table
from tasks.plan import Plan

_SHOWN_EVERY_S = 10.0


class TrainingPage:
    """One page for all trainings of a stage, as the other pages have it, with a version for every epoch.

    Of epochs that take less than ten seconds, some are left out; the first and the last never are.

    Outside of a run nothing is shown.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.rate = plan, 0.0
        self._images = int(plan.config["batch"]) * int(plan.config.get("accumulate", 1))  # a step
        self._begun_s: float | None = None
        self._steps = 0
        self._shown_s = -math.inf

    def count_step(self) -> None:
        """A step was taken. The clock starts with the first, in front of which torch is loaded."""
        now = time.monotonic()
        if self._begun_s is None:
            self._begun_s = now
            return
        self._steps += 1
        passed = now - self._begun_s
        self.rate = self._steps * self._images / passed if passed > 0 else 0.0

    def show_epoch(self, message: dict[str, Any]) -> None:
        """Publish the state after an epoch.

        Args:
            message: 'epoch', 'epochs', 'values', and 'panel', a data URI or None.
        """
        now = time.monotonic()
        rate, self._steps, self._begun_s = self.rate, 0, now
        # versions that come faster than anybody looks would crowd the run's timeline
        if now - self._shown_s < _SHOWN_EVERY_S and message["epoch"] < message["epochs"]:
            return
        self._shown_s = now
        if FlowRunContext.get() is None and TaskRunContext.get() is None:
            return
        create_markdown_artifact(
            key=self.plan.stage,
            markdown=_markdown(message, rate),
            description=f"`{self.plan.ref}`, epoch {message['epoch']} of {message['epochs']}",
        )


def _markdown(message: dict[str, Any], rate: float) -> str:
    lines = [
        f"### Epoch {message['epoch']} of {message['epochs']}",
        "",
        f"{rate:.3g} images per second",
        "",
        "| | mean of the epoch |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {value:.4g} |" for name, value in message["values"].items()),
    ]
    if message.get("panel"):
        caption = "Label map, photograph, and what is painted by now:"
        lines += ["", caption, "", f"![panel]({message['panel']})"]
    return "\n".join(lines)


def show_training(workspace: Path, model: ArtifactRef) -> None:
    """The curves of a training as a whole, and what it was trained with."""
    if FlowRunContext.get() is None:
        return
    store = Store(workspace)
    manifest, folder = store.manifest(model), store.path(model)
    steps, epochs = (read_table(folder / f"{name}.parquet") for name in ("steps", "epochs"))
    uri = data_uri(loss_curves(steps, epochs, f"Training of {model}"))
    seconds = f"{manifest.seconds:,.0f} s on {manifest.device}"
    create_markdown_artifact(
        key=f"curves-{model.kind}",
        markdown=f"{seconds}\n\n![losses]({uri})\n\n```yaml\n{yaml.safe_dump(manifest.config)}```",
        description=f"Training of `{model}`",
    )
