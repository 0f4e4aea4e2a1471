"""What the page of a run shows of a training in the Prefect UI: losses, images per second, a panel."""

from __future__ import annotations

import time
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext, TaskRunContext

from tasks.plan import Plan


class TrainingPage:
    """One page for all trainings of a stage, as the other pages have it, with a version for every epoch.

    Outside of a run nothing is shown.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.rate = plan, 0.0
        self._begun_s: float | None = None
        self._steps = 0

    def count_step(self) -> None:
        """A step was taken. The clock starts with the first, in front of which torch is loaded."""
        now = time.monotonic()
        if self._begun_s is None:
            self._begun_s = now
            return
        self._steps += 1
        passed = now - self._begun_s
        self.rate = self._steps * int(self.plan.config["batch"]) / passed if passed > 0 else 0.0

    def show_epoch(self, message: dict[str, Any]) -> None:
        """Publish the state after an epoch.

        Args:
            message: 'epoch', 'epochs', 'values', and 'panel', a data URI or None.
        """
        rate, self._steps, self._begun_s = self.rate, 0, time.monotonic()
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
