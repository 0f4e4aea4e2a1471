"""The child process that trains: reads a plan from standard input, writes a line of JSON for each step.

`python -m tasks.training_process < plan.json`. It ends when its parent dies, after a checkpoint.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import pandas as pd
import torch

from segspade_core.config import GeneratorConfig, SegmenterConfig
from segspade_core.errors import InputError, TrainingDiverged
from segspade_core.figures.panels import sample_panel
from segspade_core.training.distributed import is_first, processes
from segspade_core.training.events import EpochEvent, History, StepEvent, TrainingStopped
from storage.arrays import SplitArray, open_split
from storage.checkpoints import FolderCheckpoints
from storage.errors import DiskFull
from storage.files import put_bytes
from storage.space import telling_when_full
from storage.tables import write_table
from tasks.event_files import EventFiles
from tasks.models import device_name
from tasks.plan import Plan
from tasks.splits import names_of, open_input, read_rows
from tasks.training_group import first_is_gone, rank_here, training_group

_PR_SET_PDEATHSIG = 1
# so many threads keep up with any one device; each beyond them would only hold another batch in memory
_MOST_BATCH_THREADS = 4
_messages: TextIO = sys.stdout
_stop_asked = False


def main() -> int:
    """Train what standard input asks for. Returns the exit status."""
    global _messages
    parent = os.getppid()
    # a library that prints must not come between the messages
    _messages, sys.stdout = sys.stdout, sys.stderr
    _die_with_parent()
    if first_is_gone():
        return 1
    plan = Plan.model_validate_json(sys.stdin.read())
    try:
        with (
            telling_when_full(plan.staging),
            training_group(plan, [sys.executable, "-m", "tasks.training_process"]) as device,
            EventFiles(plan) as events,
        ):
            result = _train(plan, device, events, lambda: _stop_asked or os.getppid() != parent)
    except TrainingStopped as stopped:
        _tell({"what": "failure", "kind": "TrainingStopped", "message": str(stopped)})
        return 1
    except (InputError, TrainingDiverged, DiskFull) as error:
        kind = next(kind for kind in (InputError, TrainingDiverged, DiskFull) if isinstance(error, kind))
        _tell({"what": "failure", "kind": kind.__name__, "message": str(error)})
        return 2
    _tell({"what": "result", **result})
    return 0


def _train(
    plan: Plan, device: torch.device, events: EventFiles, should_stop: Callable[[], bool]
) -> dict[str, Any]:
    """Returns 'counts', 'metrics' and 'device' for the manifest."""
    if plan.runtime.threads:
        torch.set_num_threads(plan.runtime.threads)
    common: dict[str, Any] = {
        "device": device,
        "checkpoints": FolderCheckpoints(plan.staging / "checkpoints"),
        "checkpoint_every_steps": plan.runtime.checkpoint_every_steps,
        "on_event": lambda event: _tell_event(event, events),
        "should_stop": should_stop,
    }
    train = open_input(plan.workspace, plan.input("dataset"), "train", "label_ids")
    counts = {"train": len(train["image"])}
    if plan.kind == "segmenter":
        from segspade_core.segmentation import train_segmenter

        val = _validation(plan)
        counts["val"] = len(val["image"]) if val else 0
        to_train = SegmenterConfig(**plan.config)
        if plan.place is not None:
            to_train = to_train.model_copy(update={"weights": str(plan.place)})
        result = train_segmenter(
            to_train,
            train["image"],
            train["label_ids"],
            val.get("image"),
            val.get("label_ids"),
            workers=plan.runtime.workers or _batch_threads(),
            **common,
        )
        history = result.history
        if is_first():
            put_bytes(plan.staging / "model.safetensors", result.best)
            put_bytes(plan.staging / "last.safetensors", result.last)
    else:
        from segspade_core.spade import train_generator

        config = GeneratorConfig(**plan.config)
        if plan.place is not None:
            config = config.model_copy(update={"perceptual_weights": str(plan.place)})
        rows = read_rows(plan.workspace, plan.input("dataset"), "train")
        painter = train_generator(
            config,
            train["image"],
            train["label_ids"],
            train.get("instance_ids"),
            conditions={name: names_of(rows[name]) for name in config.conditions},
            **common,
        )
        history = painter.history
        if is_first():
            put_bytes(plan.staging / "model.safetensors", painter.model)
    if is_first():
        _write_history(plan.staging, history)
    metrics = {name: value for name, value in _published(history.epochs).items() if math.isfinite(value)}
    return {"counts": counts, "metrics": metrics, "device": device_name(plan.runtime)}


def _published(epochs: list[dict[str, float]]) -> dict[str, float]:
    """The epoch whose weights are published: of a segmenter that is validated the best, else the last."""
    return max(epochs, key=lambda row: row.get("val_miou", row["epoch"]))


def _batch_threads() -> int:
    """As many as there are cores for this process, within reason."""
    cores = (os.cpu_count() or 1) // processes()
    return max(1, min(cores, _MOST_BATCH_THREADS))


def _validation(plan: Plan) -> Mapping[str, SplitArray]:
    """The val split where the dataset has one with labels; else nothing."""
    path = plan.store.path(plan.input("dataset")) / "val.zarr"
    arrays = open_split(path) if path.exists() else {}
    return arrays if "label_ids" in arrays else {}


def _write_history(folder: Path, history: History) -> None:
    write_table(folder / "steps.parquet", pd.DataFrame(history.steps))
    write_table(folder / "epochs.parquet", pd.DataFrame(history.epochs))


def _tell_event(event: StepEvent | EpochEvent, events: EventFiles) -> None:
    events.add(event)
    if isinstance(event, StepEvent):
        where = {"epoch": event.epoch, "epochs": event.epochs, "step": event.step, "steps": event.steps}
        _tell({"what": "step", **where, "values": event.losses})
    else:
        where = {"epoch": event.epoch, "epochs": event.epochs}
        panel = None if event.panel is None else sample_panel(event.panel)
        _tell({"what": "epoch", **where, "values": vars(event)["values"], "panel": panel})


def _tell(message: dict[str, Any]) -> None:
    global _messages
    try:
        _messages.write(json.dumps(message) + "\n")
        _messages.flush()
    except BrokenPipeError:
        # the parent is gone: there is nobody to tell, and should_stop ends this at the next step
        _messages = open(os.devnull, "w")  # noqa: SIM115


def _die_with_parent() -> None:
    """Stop at the next step when asked to, or when the parent dies. Both save a checkpoint first.

    A process that the first one started has nothing to save, and may be waiting for the first one: it dies
    with that at once.
    """

    def ask(_signal: int, _frame: FrameType | None) -> None:
        global _stop_asked
        _stop_asked = True

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL if rank_here() else signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
