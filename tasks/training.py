"""Train a segmenter or a generator in a child process, which dies with its parent and can be resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from segspade_core.config import GeneratorConfig, RuntimeConfig, SegmenterConfig
from storage.files import sha256_file
from storage.refs import ArtifactRef
from tasks.accelerator import accelerator_slot
from tasks.failures import TrainingEnded, failure_of
from tasks.inputs import segmenter_weights, vgg19_file
from tasks.plan import Plan
from tasks.progress import Bar, progress, say
from tasks.stage import Work, run_logger
from tasks.training_page import TrainingPage

SEGMENTER_REVISION = 2
GENERATOR_REVISION = 3

COMMAND = [sys.executable, "-m", "tasks.training_process"]

# glibc gives the memory of large tensors back to the system after every step, and gets it again page by page;
# the child keeps what it has had once (benchmarks/allocator.py). Other libraries of C do not read these.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**28),
}

# a step on a slow machine may take long, and the child saves a checkpoint before it goes
STOP_S = 120.0


def plan_segmenter(
    workspace: Path, dataset: ArtifactRef, config: SegmenterConfig, runtime: RuntimeConfig | None = None
) -> Plan:
    """What training a segmenter on the train split of `dataset` makes.

    Raises:
        InputError: `config.weights` names a file that is not there.
    """
    path = segmenter_weights(config.weights)
    # a file of weights counts by its content, not by its name
    weights = config.weights if path is None else f"sha256:{sha256_file(path)}"
    return Plan(
        workspace=workspace,
        stage="train-segmenter",
        kind="segmenter",
        revision=SEGMENTER_REVISION,
        config={**config.model_dump(mode="json"), "weights": weights},
        inputs={"dataset": str(dataset)},
        runtime=runtime or RuntimeConfig(),
        place=path and path.absolute(),
    )


def plan_generator(
    workspace: Path, dataset: ArtifactRef, config: GeneratorConfig, runtime: RuntimeConfig | None = None
) -> Plan:
    """What training a SPADE generator on the train split of `dataset` makes.

    Raises:
        InputError: `config.perceptual_weights` names a file that is not there.
    """
    path = vgg19_file(config.perceptual_weights)
    chosen = config.perceptual_weights if path is None else f"sha256:{sha256_file(path)}"
    if chosen == "auto":
        # settled here, so that the key says what was trained with
        chosen = _vgg19_or_none() if config.losses.perceptual else "none"
    return Plan(
        workspace=workspace,
        stage="train-generator",
        kind="generator",
        revision=GENERATOR_REVISION,
        config={**config.model_dump(mode="json"), "perceptual_weights": chosen},
        inputs={"dataset": str(dataset)},
        runtime=runtime or RuntimeConfig(),
        place=path and path.absolute(),
    )


def _vgg19_or_none() -> str:
    from segspade_core.spade.perceptual import vgg19_problem  # here: it takes seconds to import

    reason = vgg19_problem()
    if reason is None:
        return "imagenet"
    # one line: it is no failure, and the run goes on
    say(f"the perceptual loss is off: {reason.splitlines()[0].partition('; ')[0].partition('. ')[0]}")
    return "none"


# its `work` holds a lock, of which Prefect can make no key
@task(name="train", task_run_name="{plan.stage} {plan.key}", cache_policy=NO_CACHE)
def train(plan: Plan, work: Work) -> dict[str, Any]:
    """Run the training of `plan` in a child process, from its last checkpoint to its end.

    Returns:
        'counts', 'metrics' and 'device' for the manifest.

    Raises:
        InputError: the child found that the input is wrong.
        TrainingDiverged: a loss was not finite any more.
        TrainingEnded: the child ended otherwise; the message has the end of what it wrote.
    """
    _say_what_a_batch_is(plan)
    with (
        accelerator_slot(plan.runtime),
        _child(plan, work) as process,
        progress(plan.stage, 1, "step") as bar,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(plan.model_dump_json())
        process.stdin.close()
        page = TrainingPage(plan)
        result: dict[str, Any] | None = None
        failure: dict[str, Any] | None = None
        reached: dict[str, Any] | None = None
        for line in process.stdout:
            if not line.endswith("\n"):
                break  # it was killed in the middle of a message
            message = json.loads(line)
            if message["what"] == "result":
                result = message
            elif message["what"] == "failure":
                failure = message
            else:
                if message["what"] == "epoch":
                    reached = message
                    page.show_epoch(message)
                    work.keep_time()
                else:
                    page.count_step()
                _show(message, bar, page.rate)
        code = process.wait()
    if failure is not None:
        if failure["kind"] == "InputError":
            # refused: what libraries said before that is of no use to a next run
            log_path(plan).unlink(missing_ok=True)
        raise failure_of(failure["kind"], failure["message"])
    if result is None:
        raise TrainingEnded(_ending(plan, code))
    if reached is not None and reached["epoch"] < reached["epochs"]:
        say(f"stopped early: epoch {reached['epoch']} of {reached['epochs']} brought no gain any more")
    return {name: result[name] for name in ("counts", "metrics", "device")}


def _say_what_a_batch_is(plan: Plan) -> None:
    batch, samples = plan.config["batch"], plan.store.manifest(plan.input("dataset")).counts.get("train")
    if samples is not None and batch > samples:
        say(f"batch {batch}: the train split has {samples} samples, and every step takes all of them")


def _show(message: dict[str, Any], bar: Bar, images_per_second: float) -> None:
    """One step or one epoch: the bar for who watches, one line an epoch for who reads the run's log."""
    values = ", ".join(f"{name} {value:.4g}" for name, value in message["values"].items())
    epoch = f"epoch {message['epoch']} of {message['epochs']}"
    if message["what"] == "epoch":
        run_logger().info("%s, %.3g images/s: %s", epoch, images_per_second, values)
        bar.move_to(bar.done, f"epoch {message['epoch']}/{message['epochs']} {values}")
        return
    steps_done = (message["epoch"] - 1) * message["steps"] + message["step"]
    bar.set_total(message["epochs"] * message["steps"])
    bar.move_to(steps_done, f"epoch {message['epoch']}/{message['epochs']} {values}")


def _ending(plan: Plan, code: int) -> str:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    written = log_path(plan).read_text(errors="replace")[-2000:].strip() if log_path(plan).exists() else ""
    return (
        f"the training process {how}; run the same again to go on from its last checkpoint\n{written}".strip()
    )


def log_path(plan: Plan) -> Path:
    """Where the child's standard error goes; not part of the artifact."""
    return plan.staging / "done" / "training.log"


@contextmanager
def _child(plan: Plan, work: Work) -> Iterator[subprocess.Popen[str]]:
    """The training process. It inherits the lock on the key, so nobody else begins before it is gone."""
    assert work.staging is not None, "what is committed is not trained again"
    log_path(plan).parent.mkdir(parents=True, exist_ok=True)
    with log_path(plan).open("w") as log:
        process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**KEEP_MEMORY, **os.environ},
            pass_fds=(work.staging.fileno(),),
        )
    try:
        yield process
    finally:
        # also on Ctrl-C and SIGTERM: let it save a checkpoint, and do not leave before it is gone
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert process.stdout is not None
        process.stdout.close()
