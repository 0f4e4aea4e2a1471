"""Is work ever lost? Ends a segmenter's training by SIGKILL at random steps, and compares the bytes it makes.

Draws and ingests a small city, trains on it once to the end, and once more with the training process killed
twenty times, somewhere in or behind a step that a seed chose. After each kill the stage is run again, as who
types the command again would. Prints every kill, and the sha256 of model.safetensors of both trainings.

    python benchmarks/kills.py [--kills 20] [--seed 0] [--processes 1]
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from segspade_core.config import AugmentConfig, RuntimeConfig, SegmenterConfig
from segspade_core.config.optimisation import AveragingConfig
from storage.refs import ArtifactRef
from storage.store import Store
from tasks import training
from tasks.failures import TrainingEnded
from tasks.plan import Plan
from tasks.stage import commit, making

SEGSPADE = [sys.executable, "-c", "from flows.cli import app; app()"]
FRAMES, BATCH = 12, 4
EVERY = 2  # steps a checkpoint
MOST = 6  # steps that a training process lives
# with dropout and augmentation, so that every random state counts
CONFIG: dict[str, Any] = {
    "encoder": "tu-lcnet_035", "head": "fpn", "weights": "none", "batch": BATCH, "average": AveragingConfig(),
    "augment": AugmentConfig(crop=(64, 64), scale=(0.8, 1.25), brightness=0.2),
}  # fmt: skip


def main() -> int:
    """Measure and print. Returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="that train together; the first is killed")
    arguments = parser.parse_args()
    # so many that there is something left to do after the last kill
    epochs = arguments.kills * MOST * BATCH // FRAMES + 1
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name) / "workspace"
        dataset = _dataset(Path(name) / "drawn", workspace)
        plan = training.plan_segmenter(
            workspace,
            dataset,
            SegmenterConfig(**CONFIG, epochs=epochs),
            RuntimeConfig(
                device="cpu",
                threads=1,
                workers=2,
                processes=arguments.processes,
                checkpoint_every_steps=EVERY,
            ),
        )
        whole = _train(plan)
        print(f"unbroken: {epochs * FRAMES // BATCH} steps, sha256 {whole}", flush=True)
        Store(workspace).remove(plan.ref)
        chosen = random.Random(arguments.seed)
        for number in range(1, arguments.kills + 1):
            _train_and_kill(plan, number, chosen)
        killed = _train(plan)
        print(f"killed {arguments.kills} times: sha256 {killed}")
    print("the same bytes" if killed == whole else "OTHER BYTES")
    return int(killed != whole)


def _dataset(drawn: Path, workspace: Path) -> ArtifactRef:
    size = ("--size", "64x128")
    _segspade(workspace, "minicity", str(drawn), "--train", str(FRAMES), "--val", "2", *size)
    said = _segspade(workspace, "ingest", str(drawn), "--layout", "cityscapes", *size)
    _segspade(workspace, "ui", "--stop")
    kind, key = said.split("/")
    return ArtifactRef.model_validate({"kind": kind, "key": key})


def _segspade(workspace: Path, *arguments: str) -> str:
    environment = {**os.environ, "SEGSPADE_WORKSPACE": str(workspace)}
    done = subprocess.run(
        [*SEGSPADE, *arguments], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    return (done.stdout.strip().splitlines() or [""])[-1]


def _train(plan: Plan, on_message: Callable[[dict[str, Any]], None] = lambda message: None) -> str:
    """Run the stage to its end, from wherever it stands; returns the digest that the manifest has."""
    with making(plan) as work, patch.object(training, "_show", lambda message, *_: on_message(message)):
        about = training.train.fn(plan, work)
        commit.fn(plan, work, **about)
    files = Store(plan.workspace).manifest(plan.ref).files
    return next(file.sha256 for file in files if file.path == "model.safetensors")


def _train_and_kill(plan: Plan, number: int, chosen: random.Random) -> None:
    """Run the stage until its training process has told of some steps and a moment more has passed."""
    steps_left, moment_s = chosen.randint(1, MOST), chosen.uniform(0, 0.3)
    begun_s = time.monotonic()
    where = ""

    def on_message(message: dict[str, Any]) -> None:
        nonlocal steps_left, where
        if message["what"] != "step":
            return
        steps_left -= 1
        where = f"step {message['step']} of epoch {message['epoch']}"
        if not steps_left:
            time.sleep(moment_s)
            (child,) = [each for each in psutil.Process().children() if _trains(each)]
            child.kill()

    try:
        _train(plan, on_message)
    except TrainingEnded as error:
        if "was ended by SIGKILL" not in str(error):
            raise
    else:
        raise SystemExit("it was done before it was killed: ask for fewer kills")
    print(f"kill {number:2}: {moment_s:.2f} s after {where}, {time.monotonic() - begun_s:.0f} s", flush=True)


def _trains(process: psutil.Process) -> bool:
    return "tasks.training_process" in process.cmdline()


if __name__ == "__main__":
    sys.exit(main())
