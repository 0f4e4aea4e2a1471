"""Two processes that train a segmenter together do what one would do with the joined batch."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from grouped import found_by_two, load_worker
from torch import nn

from segspade_core.config import SegmenterConfig
from segspade_core.errors import InputError
from segspade_core.segmentation.batches import LabelledImages
from segspade_core.segmentation.state import TrainingState
from segspade_core.training import distributed
from segspade_core.training.checkpoint import unpack_state, unpack_weights
from segspade_core.training.distributed import BatchNorm, BatchNormAct, join_batch_norms

WORKER = Path(__file__).with_name("group_worker.py")


@pytest.fixture(scope="module")
def worker() -> ModuleType:
    return load_worker(WORKER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("group")


@pytest.fixture(scope="module")
def alone(worker: ModuleType, folder: Path) -> dict[str, Any]:
    """What one process does with each recipe, and a training of one that is left in the middle."""
    worker.train(worker.UNET, folder / "from one", stop_at=3)
    return {name: worker.train(config, folder / f"{name} of one") for name, config in worker.RECIPES.items()}


@pytest.fixture(scope="module")
def found(folder: Path, alone: dict[str, Any]) -> list[dict[str, Any]]:
    return found_by_two(WORKER, folder)


def assert_same_course(actual: dict[str, Any], expected: dict[str, Any], config: SegmenterConfig) -> None:
    """Losses, gradients and scores, step by step and epoch by epoch, and the weights at the end.

    Two processes sum in another order than one, by a few parts in ten million in the first loss. Where it
    moves a value of the small last maps across the bend of a ReLU, a gradient changes by per cents.
    """
    steps, expected_steps = actual["history"]["steps"], expected["history"]["steps"]
    assert len(steps) == len(expected_steps) == 4
    for key, first, later in (("loss", 1e-6, 1e-3), ("grad_norm", 1e-3, 0.05)):
        assert steps[0][key] == pytest.approx(expected_steps[0][key], rel=first)
        for row, other in zip(steps, expected_steps, strict=True):
            assert row[key] == pytest.approx(other[key], rel=later)
    for row, other in zip(actual["history"]["epochs"], expected["history"]["epochs"], strict=True):
        assert row["val_loss"] == pytest.approx(other["val_loss"], rel=1e-3)
        assert row["val_miou"] == pytest.approx(other["val_miou"], abs=0.02)
    start = TrainingState(config, torch.device("cpu")).model.state_dict()
    weights, others = (unpack_weights(each["last"])[0] for each in (actual, expected))
    assert set(weights) == set(others) == set(start)
    statistics = [name for name in start if "running" in name]
    learned = [name for name in start if "running" not in name and "num_batches" not in name]
    for names, share in ((statistics, 1e-3), (learned, 0.05)):
        moved, apart = (
            torch.stack([(entries[name] - others[name]).norm() for name in names]).norm()
            for entries in (start, weights)
        )
        assert apart < share * moved


@pytest.mark.parametrize("recipe", ["fcn32", "unet"])
def test_two_processes_are_one_with_the_joined_batch(
    worker: ModuleType, alone: dict[str, Any], found: list[dict[str, Any]], recipe: str
) -> None:
    """Fault: a mean of the shares' means, gradients averaged or clipped before they are joined, statistics of
    a share in any batch norm, a sample of a last batch twice, an average or a score of a share."""
    for each in found:
        assert_same_course(each[recipe], alone[recipe], worker.RECIPES[recipe])
    first, second = (each[recipe] for each in found)
    assert (first["last"], first["best"]) == (second["last"], second["best"])
    assert first["history"] == second["history"]


def test_one_process_goes_on_where_two_were_stopped(
    worker: ModuleType, folder: Path, alone: dict[str, Any], found: list[dict[str, Any]]
) -> None:
    """Fault: entries that only several processes have; a rate, position or average that starts anew."""
    for each in found:
        assert each["stopped"]["stopped"].startswith("stopped after step 1 of epoch 2")
    resumed = worker.train(worker.UNET, folder / "from two")
    assert resumed["events"] == 2  # a step and an epoch were left
    assert_same_course(resumed, alone["unet"], worker.UNET)


def test_two_processes_go_on_where_one_was_stopped(
    worker: ModuleType, alone: dict[str, Any], found: list[dict[str, Any]]
) -> None:
    for each, events in zip(found, (2, 0), strict=True):
        assert each["from one"]["events"] == events
        assert_same_course(each["from one"], alone["unet"], worker.UNET)


def test_two_that_were_stopped_end_with_the_same_bytes_also_with_dropout(
    found: list[dict[str, Any]], folder: Path
) -> None:
    """Fault: each stops at a step of its own; dropout that is drawn alike by all, or from where a process
    happened to be; early stopping that each decides by a score of its own."""
    for each in found:
        assert each["fpn stopped"]["stopped"].startswith("stopped after step 1 of epoch 2")
        for what in ("last", "best", "history"):
            assert each["fpn resumed"][what] == each["fpn"][what], what
        assert len(each["fpn"]["history"]["epochs"]) == 2, "an epoch without a gain ends it"
        assert each["fpn"]["seed"] == each["fpn resumed"]["seed"]
    assert found[0]["fpn"]["last"] == found[1]["fpn"]["last"]
    assert found[0]["fpn"]["seed"] != found[1]["fpn"]["seed"]
    states = [unpack_state((folder / name / "last").read_bytes()) for name in ("fpn", "fpn resumed")]
    for part in ("model", "average", "optimiser"):
        torch.testing.assert_close(states[0][part], states[1][part], rtol=0, atol=0)


def test_a_batch_that_cannot_be_shared_is_refused(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert each["odd"] == (
            "a batch of 3 cannot be shared alike by 2 processes; make `batch` a multiple of them"
        )


@pytest.mark.parametrize(("count", "sizes"), [(1, [[4], [3]]), (2, [[2, 2], [2, 1]]), (4, [[1] * 4] * 2)])
def test_shares_are_the_batch_in_order(
    worker: ModuleType, monkeypatch: pytest.MonkeyPatch, count: int, sizes: list[list[int]]
) -> None:
    """Fault: a sample left out or twice, but where there are fewer of them than processes."""
    data = LabelledImages("train", IMAGE_NUMBERS, np.zeros((7, 8, 8), np.uint8), 9)
    config = worker.FCN32.model_copy(update={"augment": type(worker.FCN32.augment)()})
    monkeypatch.setattr("segspade_core.segmentation.batches.processes", lambda: count)
    seen: list[int] = []
    for step in (0, 1):
        shares = []
        for rank in range(count):
            monkeypatch.setattr("segspade_core.segmentation.batches.rank", lambda rank=rank: rank)
            shares.append(data.batch(config, 0, step).images[:, 0, 0, 0].tolist())
        assert [len(share) for share in shares] == sizes[step]
        seen += [number for share in shares for number in share]
    assert sorted(seen[:7]) == list(range(7))
    assert seen[7:] == seen[:1] * (count == 4)


IMAGE_NUMBERS = np.arange(7, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)


class Strange(nn.BatchNorm2d):
    """A batch norm that nobody knows."""


def test_every_batch_norm_is_joined_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: one that keeps statistics of its share, unnoticed."""
    network = nn.ModuleDict({"stem": nn.BatchNorm2d(3), "deep": nn.Sequential(nn.BatchNorm2d(3))})
    entries = list(network.state_dict())
    join_batch_norms(network)
    assert type(network["stem"]) is nn.BatchNorm2d, "alone, nothing changes"
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    join_batch_norms(network)
    assert type(network["stem"]) is type(network["deep"][0]) is BatchNorm
    assert list(network.state_dict()) == entries
    for norm in (Strange(3), nn.BatchNorm1d(3), nn.BatchNorm2d(3, track_running_stats=False)):
        network["deep"][0] = norm
        with pytest.raises(
            InputError,
            match=rf"^deep.0: several processes cannot share the statistics of a {type(norm).__name__} like "
            r"this one; set runtime.processes to 1, or take another encoder$",
        ):
            join_batch_norms(network)


def test_the_librarys_batch_norm_with_activation_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: the activation lost; alone it is the library's own to the bit."""
    from timm.layers import BatchNormAct2d

    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5)
    theirs, ours = BatchNormAct2d(3), BatchNormAct2d(3)
    with monkeypatch.context() as patch:
        patch.setattr(distributed, "processes", lambda: 2)
        join_batch_norms(ours)
    assert type(ours) is BatchNormAct
    assert torch.equal(ours(x.clone()), theirs(x.clone()))
    assert torch.equal(ours.eval()(x.clone()), theirs.eval()(x.clone()))
