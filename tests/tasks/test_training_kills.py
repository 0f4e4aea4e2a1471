"""A training that is killed again and again, at random steps, ends with the bytes of an unbroken one."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import torch
from handmade import commit, maps, photographs

from segspade_core.config import AugmentConfig, RuntimeConfig, SegmenterConfig
from segspade_core.config.optimisation import AveragingConfig
from segspade_core.training.checkpoint import unpack_state
from segspade_core.training.events import StepEvent
from storage.checkpoints import FolderCheckpoints
from tasks import training, training_process
from tasks.event_files import EventFiles
from tasks.failures import TrainingEnded
from tasks.plan import Plan
from tasks.stage import making

# dropout, so that random states count; checkpoints at other steps than those where it dies
CONFIG = SegmenterConfig(
    encoder="tu-lcnet_035", head="fpn", weights="none", epochs=4, batch=2, average=AveragingConfig(),
    augment=AugmentConfig(crop=(16, 32), scale=(0.8, 1.2), brightness=0.2), seed=5,
)  # fmt: skip
RUNTIME = RuntimeConfig(device="cpu", threads=1, workers=2, checkpoint_every_steps=2)
STEPS = 4 * 3
FILES = ("model.safetensors", "last.safetensors", "steps.parquet", "epochs.parquet")


class Killed(BaseException):
    """As SIGKILL: nothing in the way of the training's own code catches it."""


@pytest.fixture(scope="module", autouse=True)
def _as_many_threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    workspace = tmp_path_factory.mktemp("killed") / "workspace"
    splits = {
        split: {"image": photographs(seed, count), "label_ids": maps(seed, count)}
        for split, seed, count in (("train", 1, 6), ("val", 2, 2))
    }
    dataset = commit(workspace, "dataset", splits=splits)
    return training.plan_segmenter(workspace, dataset, CONFIG, RUNTIME)


@pytest.fixture(scope="module")
def unbroken(plan: Plan) -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patch:
        _train_here(plan, patch)
    return _made(plan)


def _train_here(plan: Plan, patch: pytest.MonkeyPatch, kill_at: int = 0) -> int:
    """What the child does, in this process; killed in the step `kill_at`. Returns the steps it told of."""
    told = 0

    def tell(event: Any, _files: EventFiles) -> None:
        nonlocal told
        told += isinstance(event, StepEvent)
        if told == kill_at:
            raise Killed

    patch.setattr(training_process, "_tell_event", tell)
    torch.seed()  # each process starts somewhere
    with making(plan):
        training_process._train(plan, torch.device("cpu"), EventFiles(plan), lambda: False)
    return told


def _made(plan: Plan) -> dict[str, bytes]:
    made = {name: (plan.staging / name).read_bytes() for name in FILES}
    shutil.rmtree(plan.staging)
    return made


def _taken(plan: Plan) -> int:
    """Steps up to the last checkpoint."""
    last = FolderCheckpoints(plan.staging / "checkpoints").load("last")
    return 0 if last is None else int(unpack_state(last)["taken"])


def test_killed_at_random_steps_and_in_a_save(
    plan: Plan, unbroken: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a batch taken twice or left out, prefetched batches that outlive the state, dropout that goes on
    from where the process stands, 'best' and 'last' of two epochs, an average that starts anew."""
    chosen = random.Random(11)
    for _ in range(2):
        before = _taken(plan)
        with pytest.raises(Killed):
            _train_here(plan, monkeypatch, kill_at=chosen.randint(1, 4))
        assert before <= _taken(plan) < STEPS
    saves = 0

    def save(self: FolderCheckpoints, name: str, content: bytes) -> None:
        nonlocal saves
        saves += 1
        if saves == 2:
            raise Killed
        real(self, name, content)

    real = FolderCheckpoints.save
    monkeypatch.setattr(FolderCheckpoints, "save", save)
    with pytest.raises(Killed):
        _train_here(plan, monkeypatch)
    left = _train_here(plan, monkeypatch)
    assert 0 < left < STEPS, "it started over, or nothing was left to do"
    assert _made(plan) == unbroken


@pytest.mark.slow
def test_the_real_child_ended_by_sigkill_at_a_random_step(
    plan: Plan, unbroken: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: as above, through processes; and threads that make batches move the order of anything."""
    kill_at, seen = random.Random(3).randint(3, 8), 0

    def show(message: dict[str, Any], *_: Any) -> None:
        nonlocal seen
        seen += message["what"] == "step"
        if seen == kill_at:
            children = psutil.Process().children(recursive=True)
            (child,) = [each for each in children if "tasks.training_process" in each.cmdline()]
            child.kill()

    with monkeypatch.context() as patch, making(plan) as work:
        patch.setattr(training, "_show", show)
        with pytest.raises(TrainingEnded, match="was ended by SIGKILL"):
            training.train.fn(plan, work)
    assert 0 < _taken(plan) < STEPS
    with making(plan) as work:
        training.train.fn(plan, work)
    assert _made(plan) == unbroken
