"""The training process: what it says is told on, and how it ends is never lost."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from handmade import commit, maps, photographs

from segspade_core.config import GeneratorConfig, RuntimeConfig, SegmenterConfig
from segspade_core.errors import InputError, TrainingDiverged
from tasks import training, training_process
from tasks.event_files import EventFiles
from tasks.failures import TrainingEnded
from tasks.inputs import vgg19_file
from tasks.plan import Plan
from tasks.stage import Work, making

RESULT = {"what": "result", "counts": {"train": 4}, "metrics": {"loss": 0.5}, "device": "cpu"}
STEP = {"what": "step", "epoch": 1, "epochs": 1, "step": 1, "steps": 1, "values": {"loss": 0.5}}


@pytest.fixture
def plan(workspace: Path) -> Plan:
    arrays = {"image": photographs(1, 4), "label_ids": maps(2, 4)}
    dataset = commit(workspace, "dataset", splits={"train": arrays})
    config = SegmenterConfig(encoder="resnet18", weights="none", epochs=2, batch=2)
    return training.plan_segmenter(workspace, dataset, config, RuntimeConfig(checkpoint_every_steps=1))


@pytest.fixture
def work(plan: Plan) -> Iterator[Work]:
    with making(plan) as work:
        yield work


def child(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A child that does as `script` says, in place of the one that trains."""
    monkeypatch.setattr(training, "COMMAND", [sys.executable, "-c", f"import os, sys\n{script}"])


def test_what_the_child_returns_is_returned(plan: Plan, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    says = "\n".join(json.dumps(message) for message in (STEP, RESULT))
    child(monkeypatch, f'assert \'"stage":"train-segmenter"\' in sys.stdin.read()\nprint({says!r})')
    assert training.train.fn(plan, work) == {key: RESULT[key] for key in ("counts", "metrics", "device")}


@pytest.mark.parametrize(("last", "told"), [(2, ""), (1, "stopped early: epoch 1 of 2 brought no gain")])
def test_an_early_end_is_told(
    plan: Plan, work: Work, monkeypatch: pytest.MonkeyPatch, capfd: Any, last: int, told: str
) -> None:
    """Fault: fewer epochs than were asked for, and nobody knows why."""
    epochs = [
        {"what": "epoch", "epoch": at + 1, "epochs": 2, "values": {}, "panel": None} for at in range(last)
    ]
    says = "\n".join(json.dumps(message) for message in (STEP, *epochs, RESULT))
    child(monkeypatch, f"sys.stdin.read()\nprint({says!r})")
    training.train.fn(plan, work)
    written = capfd.readouterr().err
    assert ("stopped early" in written) == bool(told)
    assert told in written


@pytest.mark.parametrize(
    ("kind", "error"),
    [("InputError", InputError), ("TrainingDiverged", TrainingDiverged), ("TrainingStopped", TrainingEnded)],
)
def test_failures_keep_their_kind(
    plan: Plan, work: Work, monkeypatch: pytest.MonkeyPatch, kind: str, error: type[Exception]
) -> None:
    """The kind decides the exit status."""
    failure = json.dumps({"what": "failure", "kind": kind, "message": "it went wrong"})
    child(monkeypatch, f"sys.stdin.read()\nprint({failure!r})\nsys.exit(2)")
    with pytest.raises(error, match=r"^it went wrong$"):
        training.train.fn(plan, work)


def test_a_refused_training_leaves_nothing(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a folder in staging with the log of a child that said no, and the time it took to say so."""
    says = json.dumps({"what": "failure", "kind": "InputError", "message": "it is none"})
    child(monkeypatch, f"sys.stdin.read()\nprint('a warning', file=sys.stderr)\nprint({says!r})\nsys.exit(2)")
    with pytest.raises(InputError, match="it is none"), making(plan) as work:
        training.train.fn(plan, work)
    assert not plan.staging.exists()


def test_a_batch_larger_than_the_data_is_told(
    workspace: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Fault: an epoch of one step, and nobody knows why."""
    arrays = {"image": photographs(1, 4), "label_ids": maps(2, 4)}
    dataset = commit(workspace, "dataset", "counted", splits={"train": arrays}, counts={"train": 4})
    child(monkeypatch, f"sys.stdin.read()\nprint({json.dumps(RESULT)!r})")
    for batch, told in (
        (5, "batch 5: the train split has 4 samples, and every step takes all of them"),
        (4, ""),
    ):
        config = SegmenterConfig(encoder="resnet18", weights="none", batch=batch)
        counted = training.plan_segmenter(workspace, dataset, config)
        with making(counted) as work:
            training.train.fn(counted, work)
        assert capfd.readouterr().err.strip() == told


def test_a_child_that_is_killed_is_told_with_what_it_wrote(
    plan: Plan, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(
        monkeypatch,
        "sys.stdin.read()\nsys.stderr.write('out of memory?')\nsys.stderr.flush()\nos.kill(os.getpid(), 9)",
    )
    with pytest.raises(
        TrainingEnded,
        match=r"^the training process was ended by SIGKILL; run the same again to go on from its last "
        r"checkpoint\nout of memory\?$",
    ):
        training.train.fn(plan, work)


def test_a_child_that_is_killed_in_the_middle_of_a_message_is_told_likewise(
    plan: Plan, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a stack trace of the JSON decoder; panels are longer than what a pipe takes at once."""
    says = json.dumps(STEP) + "\n" + json.dumps(STEP)[:20]
    child(
        monkeypatch,
        f"sys.stdin.read()\nsys.stdout.write({says!r})\nsys.stdout.flush()\nos.kill(os.getpid(), 9)",
    )
    with pytest.raises(
        TrainingEnded, match=r"^the training process was ended by SIGKILL; run the same again"
    ):
        training.train.fn(plan, work)


def test_who_is_interrupted_lets_the_child_save_and_waits_for_it(
    plan: Plan, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: the parent leaves, and its successor waits for a child that nobody knows."""
    script = f"""
import signal, time
def save(*_):
    open({str(plan.staging / "saved")!r}, 'w').close()
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
sys.stdin.read()
print({json.dumps(STEP)!r}, flush=True)
time.sleep(60)
"""
    child(monkeypatch, script)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_show", interrupt)
    with pytest.raises(KeyboardInterrupt):
        training.train.fn(plan, work)
    assert (plan.staging / "saved").exists()


def test_a_folder_in_place_of_weights_is_called_one(workspace: Path, plan: Plan, tmp_path: Path) -> None:
    config = SegmenterConfig(weights=str(tmp_path))
    with pytest.raises(InputError, match=r"is a folder; give the file of weights in it"):
        training.plan_segmenter(workspace, plan.input("dataset"), config)


def test_weights_count_by_their_content(workspace: Path, plan: Plan, tmp_path: Path) -> None:
    dataset = plan.input("dataset")
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    keys = [
        training.plan_segmenter(workspace, dataset, SegmenterConfig(weights=str(tmp_path / name))).key
        for name in ("a", "b", "c")
    ]
    assert keys[0] == keys[1] != keys[2]
    with pytest.raises(InputError, match=r"no such file; segmenter\.weights is 'imagenet', 'none' or a file"):
        training.plan_segmenter(workspace, dataset, SegmenterConfig(weights=str(tmp_path / "d")))


@pytest.mark.slow
def test_the_real_child_stops_with_its_parent_and_resumes_to_the_same_bytes(
    plan: Plan, tmp_path: Path
) -> None:
    """A parent killed with -9 takes its child along, after a checkpoint; the next one ends as if unbroken."""
    whole = _train_whole(plan)
    with subprocess.Popen([sys.executable, "-c", PARENT, plan.model_dump_json()]) as parent:
        try:
            _wait_for(lambda: any((plan.staging / "checkpoints").glob("*")))
        finally:
            parent.kill()
    # the child holds the lock as long as it lives: to get it means that it is gone
    with making(plan) as work:
        training.train.fn(plan, work)
        assert _weights(plan) == whole


def _train_whole(plan: Plan) -> dict[str, bytes]:
    with making(plan) as work:
        training.train.fn(plan, work)
        whole = _weights(plan)
    shutil.rmtree(plan.staging)
    return whole


def _weights(plan: Plan) -> dict[str, bytes]:
    names = ("model.safetensors", "last.safetensors", "steps.parquet", "epochs.parquet")
    return {name: (plan.staging / name).read_bytes() for name in names}


PARENT = """
import sys
from tasks import training
from tasks.plan import Plan
from tasks.stage import making
plan = Plan.model_validate_json(sys.argv[1])
with making(plan) as work:
    training.train.fn(plan, work)
"""


def _wait_for(done: Any, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def test_seconds_add_up_over_runs_that_were_cut_short(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: the manifest of a training that was resumed tells the time of its last piece only."""
    epoch = {"what": "epoch", "epoch": 1, "epochs": 2, "values": {"loss": 0.5}}
    child(monkeypatch, f"sys.stdin.read()\nprint({json.dumps(epoch)!r}, flush=True)\nos.kill(os.getpid(), 9)")
    for least in (100.0, 200.0):
        with contextlib.suppress(TrainingEnded), making(plan) as work:
            work._started -= 100  # as if it had begun so much earlier
            training.train.fn(plan, work)
        with making(plan) as work:
            assert least <= work.seconds < least + 90
    kept = plan.staging / "done" / "seconds"
    kept.write_text("no number")
    with making(plan) as work:
        assert work.seconds < 90


def generator_config(**settings: Any) -> GeneratorConfig:
    return GeneratorConfig(batch=2, **settings)


def test_the_perceptual_loss_is_settled_before_the_key(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault: 'auto' in the key, so that two machines call different generators by one name."""
    problem: str | None = None
    monkeypatch.setattr("segspade_core.spade.perceptual.vgg19_problem", lambda: problem)

    def planned(**settings: Any) -> Any:
        config = generator_config(**settings)
        return training.plan_generator(plan.workspace, plan.input("dataset"), config)

    assert planned().config["perceptual_weights"] == "imagenet"
    assert planned().key == planned(perceptual_weights="imagenet").key
    problem = "no way to the model hub"
    assert planned().config["perceptual_weights"] == "none"
    assert capsys.readouterr().err == "the perceptual loss is off: no way to the model hub\n"
    assert planned().key == planned(perceptual_weights="none").key
    capsys.readouterr()
    # nobody looks for what is not asked for
    assert planned(losses={"perceptual": 0}).config["perceptual_weights"] == "none"
    assert not capsys.readouterr().err


def test_vgg19_weights_count_by_their_content(plan: Plan, tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    plans = [
        training.plan_generator(
            plan.workspace, plan.input("dataset"), generator_config(perceptual_weights=str(tmp_path / name))
        )
        for name in ("a", "b", "c")
    ]
    assert plans[0].key == plans[1].key != plans[2].key
    assert [each.place for each in plans] == [tmp_path / name for name in ("a", "b", "c")]
    assert vgg19_file("auto") is vgg19_file("imagenet") is vgg19_file("none") is None
    with pytest.raises(
        InputError,
        match=r"^no\.pth: no such file; generator\.perceptual_weights is 'auto', 'imagenet', 'none' or a ",
    ):
        vgg19_file("no.pth")


def test_the_child_is_given_the_conditions_of_its_samples(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: the column of another condition, NaN for unknown, a config without the file's place."""
    given: dict[str, Any] = {}

    class Enough(Exception):
        pass

    def train_generator(config: GeneratorConfig, *arrays: Any, **named: Any) -> None:
        given.update(named, config=config, arrays=arrays)
        raise Enough

    monkeypatch.setattr("segspade_core.spade.train_generator", train_generator)
    config = generator_config(conditions=("time_of_day",), perceptual_weights="none")
    of_generator = training.plan_generator(plan.workspace, plan.input("dataset"), config)
    of_generator = of_generator.model_copy(update={"place": Path("/here/vgg19.pth")})
    with pytest.raises(Enough):
        training_process._train(of_generator, torch.device("cpu"), EventFiles(of_generator), lambda: False)
    # as handmade has it: of the last nobody knows
    assert given["conditions"] == {"time_of_day": ["dusk", "day", "day", None]}
    assert given["config"].perceptual_weights == "/here/vgg19.pth"
    assert given["device"] == torch.device("cpu")
    assert given["arrays"][2] is None
    np.testing.assert_array_equal(given["arrays"][1][:], maps(2, 4))


@pytest.mark.parametrize(("workers", "cores", "threads"), [(0, 2, 2), (0, 64, 4), (7, 2, 7)])
def test_the_child_makes_batches_in_as_many_threads_as_the_runtime_says(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, workers: int, cores: int, threads: int
) -> None:
    """Fault: a setting that changes nothing, or a hundred batches in memory on a machine with many cores."""
    given: dict[str, Any] = {}

    class Enough(Exception):
        pass

    def train_segmenter(*_: Any, **named: Any) -> None:
        given.update(named)
        raise Enough

    monkeypatch.setattr("segspade_core.segmentation.train_segmenter", train_segmenter)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    asked = plan.model_copy(update={"runtime": RuntimeConfig(workers=workers)})
    with pytest.raises(Enough):
        training_process._train(asked, torch.device("cpu"), EventFiles(asked), lambda: False)
    assert given["workers"] == threads


def test_memory_that_runs_out_in_the_child_is_an_error_of_the_settings(
    plan: Plan, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: "ended with status 1" and a stack trace; an exit status that says that the fault is ours."""
    script = (
        "import torch\n"
        "from segspade_core.segmentation.model import Segmenter\n"
        "from tasks import training_process\n"
        "Segmenter.scores = lambda *_: torch.empty(1 << 50)\n"
        "sys.exit(training_process.main())"
    )
    child(monkeypatch, script)
    with pytest.raises(
        InputError, match=r"^step 1 of epoch 1: out of memory on .* with a batch of 2 photogr"
    ):
        training.train.fn(plan, work)
