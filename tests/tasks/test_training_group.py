"""Processes that train together: none is left behind, and what one finds wrong is told by the first."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from handmade import commit, maps, photographs

from segspade_core.config import (
    GeneratorArchitecture,
    GeneratorConfig,
    LossWeights,
    PatchArchitecture,
    RuntimeConfig,
    SegmenterConfig,
)
from segspade_core.config.optimisation import SGDConfig
from segspade_core.errors import InputError
from segspade_core.training.checkpoint import read_metadata, unpack_state
from segspade_core.training.sampling import batch_indices
from storage.checkpoints import FolderCheckpoints
from storage.store import Store
from tasks import training, training_group
from tasks.plan import Plan
from tasks.stage import commit as commit_task
from tasks.stage import making

CONFIG = GeneratorConfig(
    generator=GeneratorArchitecture(
        width=1, max_channels=4, hidden=2, upsamplings=3, style_dim=2, style_width=1, condition_dim=2
    ),
    discriminator=PatchArchitecture(width=1, scales=1, layers=2),
    losses=LossWeights(perceptual=0.0),
    perceptual_weights="none",
    conditions=("time_of_day",),
    epochs=4,
    batch=2,
)
# small checkpoints, and no library that takes seconds to import
SEGMENTER = SegmenterConfig(
    encoder="resnet18", weights="none", label_space="train_ids", num_classes=19, epochs=5, batch=2,
    optimiser=SGDConfig(momentum=0.0),
)  # fmt: skip
RUNTIME = RuntimeConfig(device="cpu", processes=2, threads=1, checkpoint_every_steps=1)
MESSAGE = '{"what": "failure", "kind": "InputError", "message": "frame 3 is damaged"}'


def plan_of(
    workspace: Path, label_ids: np.ndarray, name: str = "", runtime: RuntimeConfig = RUNTIME, **changes: Any
) -> Plan:
    arrays = {"image": photographs(1, len(label_ids)), "label_ids": label_ids}
    dataset = commit(workspace, "dataset", name, splits={"train": arrays})
    return training.plan_generator(workspace, dataset, CONFIG.model_copy(update=changes), runtime)


def segmenter_plan_of(workspace: Path, label_ids: np.ndarray, name: str = "") -> Plan:
    arrays = {"image": photographs(1, len(label_ids)), "label_ids": label_ids}
    dataset = commit(workspace, "dataset", name, splits={"train": arrays, "val": arrays})
    return training.plan_segmenter(workspace, dataset, SEGMENTER, RUNTIME)


@pytest.fixture
def plan(workspace: Path) -> Plan:
    return plan_of(workspace, maps(2, 4))


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is the first of a group; what it leaves in the environment is taken back."""
    for name in ("SEGSPADE_RANK", "SEGSPADE_FIRST", "SEGSPADE_MEETING", "GLOO_SOCKET_IFNAME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def script(text: str) -> list[str]:
    return [sys.executable, "-c", f"import os, sys\nsys.stdin.read()\n{text}"]


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (f"print({MESSAGE!r})\nsys.exit(2)", InputError, r"^frame 3 is damaged$"),
        ("sys.exit(3)", RuntimeError, r"^process 2 of 2 ended with status 3$"),
    ],
)
def test_who_never_comes_is_not_waited_for(
    plan: Plan, text: str, error: type[Exception], message: str
) -> None:
    """Fault: half an hour of waiting for a process that is dead, and not a word of why it died."""
    begun_s = time.monotonic()
    with pytest.raises(error, match=message), training_group.training_group(plan, script(text)):
        raise AssertionError("there is no group to train in")
    assert time.monotonic() - begun_s < 600  # not the half an hour
    assert not torch.distributed.is_initialized()


@pytest.mark.usefixtures("first")
def test_the_meeting_of_a_run_that_was_killed_is_forgotten(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a new run under the same process number believes that all are there."""

    def believe(*_: Any, **__: Any) -> None:
        raise AssertionError("nobody came")

    monkeypatch.setattr(torch.distributed, "init_process_group", believe)
    meeting = plan.staging / "done" / f"meeting-{os.getpid()}"
    meeting.parent.mkdir(parents=True)
    store = torch.distributed.FileStore(str(meeting), 3)
    store.set("came 1", "yes")
    with (
        pytest.raises(RuntimeError, match="process 2 of 2 ended with status 3"),
        training_group.training_group(plan, script("sys.exit(3)")),
    ):
        raise AssertionError("there is no group to train in")


def test_one_process_needs_no_group(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: waiting for others that nobody asked for, or processes on the CPU for each CUDA device."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    for processes in (0, 1):
        runtime = RuntimeConfig(device="cpu", processes=processes)
        alone = plan.model_copy(update={"runtime": runtime})
        with training_group.training_group(alone, ["no such command"]) as device:
            assert device == torch.device("cpu")
            assert not torch.distributed.is_initialized()


def test_each_process_has_a_cuda_device_of_its_own(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    auto = RuntimeConfig(processes=3)
    assert training_group._device_of(1, 2, auto) == torch.device("cuda", 1)
    assert training_group._processes(plan.model_copy(update={"runtime": RuntimeConfig(processes=0)})) == 2
    asked = plan.model_copy(update={"runtime": auto})
    with (
        pytest.raises(
            InputError,
            match=r"^runtime.processes 3: each takes a CUDA device of its own, and this machine has 2; ",
        ),
        training_group.training_group(asked, ["no such command"]),
    ):
        raise AssertionError("there are not as many devices")


@pytest.mark.slow
def test_what_another_process_finds_wrong_is_told(workspace: Path) -> None:
    """Fault: "connection closed by peer" in place of the label id that is not known."""
    label_ids = maps(2, 4)
    # the share of the second process in the first step
    label_ids[batch_indices(4, 2, CONFIG.seed, 0, 0)[1], 3, 3] = 77
    plan = plan_of(workspace, label_ids)
    with making(plan) as work, pytest.raises(InputError, match=r"^the label maps hold the ids 77; this"):
        training.train.fn(plan, work)
    assert not trainers()


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(workspace: Path) -> None:
    plan = plan_of(workspace, maps(2, 4), batch=3)
    with (
        making(plan) as work,
        pytest.raises(
            InputError,
            match=r"^a batch of 3 cannot be shared alike by 2 processes; make `batch` a multiple of them$",
        ),
    ):
        training.train.fn(plan, work)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "killed"),
    [(plan_of, "the first"), (plan_of, "the parent"), (segmenter_plan_of, "the parent")],
    ids=["generator, the first", "generator, the parent", "segmenter, the parent"],
)
def test_a_killed_group_leaves_nobody_and_goes_on_to_the_same_bytes(
    workspace: Path, make: Callable[..., Plan], killed: str
) -> None:
    """Fault: orphans that wait half an hour for the first; two that save; a run that starts over."""
    plan = make(workspace, maps(2, 4))
    command = [sys.executable, "-c", PARENT, plan.model_dump_json()]
    with (plan.workspace / "log").open("w") as log, subprocess.Popen(command, stderr=log) as parent:
        store = FolderCheckpoints(plan.staging / "checkpoints")
        wait_for(lambda: store.load("last") is not None)
        started = children(parent.pid)
        assert len(started) == 2
        (started[0] if killed == "the first" else psutil.Process(parent.pid)).kill()
        wait_for(lambda: not any(alive(each) for each in started))
        parent.wait(timeout=120)
        if killed == "the first":
            assert parent.returncode == 7, (plan.workspace / "log").read_text()
    taken = unpack_state(store.load("last") or b"")["taken"]
    assert 0 < taken < 2 * plan.config["epochs"]
    with making(plan) as work:
        about = training.train.fn(plan, work)
        assert about["counts"]["train"] == 4
        resumed = (plan.staging / "model.safetensors").read_bytes()
        commit_task.fn(plan, work, **about)
    assert not trainers()
    folder = Store(plan.workspace).path(plan.ref)
    names = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "steps.parquet", "epochs.parquet"} <= names
    assert not {"done", "checkpoints"} & names
    assert (folder / "model.safetensors").read_bytes() == resumed
    if plan.kind == "generator":
        assert read_metadata(resumed)["architecture"]["times_of_day"] == ["day", "dusk"]
    with making(plan) as work:
        assert work.is_done
    if killed == "the first":
        return  # what follows is alike for both, and slow
    whole = make(plan.workspace, maps(2, 4), name="unbroken")
    with making(whole) as work:
        training.train.fn(whole, work)
        assert (whole.staging / "model.safetensors").read_bytes() == resumed


PARENT = """
import sys
from tasks import training
from tasks.failures import TrainingEnded
from tasks.plan import Plan
from tasks.stage import making
plan = Plan.model_validate_json(sys.argv[1])
try:
    with making(plan) as work:
        training.train.fn(plan, work)
except TrainingEnded as error:
    assert "the training process was ended by SIGKILL" in str(error)
    sys.exit(7)
"""


def trainers() -> list[psutil.Process]:
    """Training processes of this one; the server that other tests share is none."""
    return [each for each in children(os.getpid()) if "tasks.training_process" in each.cmdline()]


def children(of: int) -> list[psutil.Process]:
    """Of any generation, the nearest first."""
    return [each for each in psutil.Process(of).children(recursive=True) if alive(each)]


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(done: Callable[[], bool], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)
