"""Optimisers step as torch's, in the groups that were asked for, and go on from a checkpoint bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from segspade_core.config import SegmenterConfig
from segspade_core.config.optimisation import AdamConfig, AdamWConfig, OptimiserConfig, SGDConfig
from segspade_core.errors import InputError
from segspade_core.segmentation.optimisers import build_optimiser, load_optimiser, set_rates
from segspade_core.segmentation.parameter_groups import encoder_depths, freeze, parameter_groups
from segspade_core.segmentation.state import TrainingState
from segspade_core.training.checkpoint import pack_state, unpack_state

pytestmark = pytest.mark.usefixtures("tiny_encoder")
CPU = torch.device("cpu")
PLAIN = SegmenterConfig(encoder="resnet18", weights="none", num_classes=5)
RANDOM = torch.Generator().manual_seed(0)
IMAGES = torch.rand(2, 3, 64, 64, generator=RANDOM)
CONFIGS: dict[str, OptimiserConfig] = {
    "adam": AdamConfig(lr=1e-2, weight_decay=0.1, encoder_lr=0.5),
    "adamw": AdamWConfig(lr=1e-2, weight_decay=0.1, layer_decay=0.7),
    "sgd": SGDConfig(weight_decay=0.1),
    "nesterov": SGDConfig(nesterov=True, layer_decay=0.5),
    "sgd without momentum": SGDConfig(momentum=0.0),
}


def network() -> nn.Module:
    """A small segmenter as training has it: the same every time, and channels last."""
    return TrainingState(PLAIN, CPU).model


def step(model: nn.Module, optimiser: torch.optim.Optimizer, number: int, epoch_of: Any = None) -> None:
    model.train()
    if epoch_of is not None:
        freeze(model, number, epoch_of)
    optimiser.zero_grad(set_to_none=True)
    (model(IMAGES + number) ** 2).mean().backward()
    optimiser.step()


def same(a: nn.Module, b: nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def all_at_once(model: nn.Module, **more: Any) -> list[dict[str, Any]]:
    return [{"params": list(model.parameters()), **more}]


def decayed_and_not(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]


def rates(model: nn.Module, config: OptimiserConfig) -> dict[str, float]:
    """Factor on the learning rate of every parameter, by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, config)
    assert sorted(names) == sorted(id(p) for group in groups for p in group["params"]), "each exactly once"
    return {names[id(p)]: group["lr_scale"] for group in groups for p in group["params"]}


def test_the_default_steps_as_plain_adam_bit_for_bit() -> None:
    """Fault: a default that is not what was trained with before: Adam, 1e-4, no decay, one rate for all."""
    ours, adam, before = network(), network(), network()
    optimiser = TrainingState(PLAIN, CPU).optimiser
    assert optimiser.state_dict() == build_optimiser(ours, AdamConfig(), CPU).state_dict()
    optimiser = build_optimiser(ours, AdamConfig(), CPU)
    peer = torch.optim.Adam(adam.parameters(), lr=1e-4, fused=True)
    of_old = torch.optim.AdamW(decayed_and_not(before, 0.0), lr=1e-4, fused=True)
    for number in range(4):
        step(ours, optimiser, number)
        step(adam, peer, number)
        step(before, of_old, number)
        assert same(ours, adam), number
        assert same(ours, before), number


@pytest.mark.parametrize(
    ("config", "peer"),
    [
        (
            AdamConfig(lr=3e-3, betas=(0.8, 0.99), eps=1e-4, weight_decay=0.1, decay_norms_and_biases=True),
            lambda model: torch.optim.Adam(
                model.parameters(), 3e-3, (0.8, 0.99), 1e-4, weight_decay=0.1, fused=True
            ),
        ),
        (
            AdamWConfig(lr=3e-3, betas=(0.8, 0.99), eps=1e-4, weight_decay=0.1),
            lambda model: torch.optim.AdamW(
                decayed_and_not(model, 0.1), 3e-3, (0.8, 0.99), 1e-4, fused=True
            ),
        ),
        (
            SGDConfig(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.1),
            lambda model: torch.optim.SGD(
                decayed_and_not(model, 0.1), 0.05, momentum=0.8, nesterov=True, fused=True
            ),
        ),
        (
            SGDConfig(lr=0.05, momentum=0.8, weight_decay=0.0, encoder_lr=0.1),
            lambda model: torch.optim.SGD(
                [
                    {"params": model.encoder.parameters(), "lr": 0.1 * 0.05},
                    {"params": [*model.classifier.parameters(), *model.upsample.parameters()]},
                ],
                0.05, momentum=0.8, fused=True,
            ),
        ),
    ],
    ids=["adam", "adamw", "nesterov", "sgd with a slow encoder"],
)  # fmt: skip
def test_every_optimiser_steps_as_torchs_bit_for_bit(config: OptimiserConfig, peer: Any) -> None:
    """Fault: a field that does not reach torch; decay of norms and biases that was not asked for."""
    ours, theirs = network(), network()
    optimiser, expected = build_optimiser(ours, config, CPU), peer(theirs)
    for number in range(3):
        step(ours, optimiser, number)
        step(theirs, expected, number)
    assert same(ours, theirs)
    assert not same(ours, network())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_that_goes_on_from_a_file_has_the_same_bytes(
    config: OptimiserConfig, frozen: int, stop: int
) -> None:
    """Fault: a moment lost or laid out otherwise, or one that begins with whatever lay in memory.

    The fused SGD makes the momenta of a whole group at its first step: an encoder that starts later must not
    be in a group that has begun.
    """
    config = config.model_copy(update={"frozen_encoder_epochs": frozen})
    unbroken, resumed = network(), network()
    first, second = build_optimiser(unbroken, config, CPU), build_optimiser(resumed, config, CPU)
    for number in range(5):
        step(unbroken, first, number, config)
        if number == stop:
            kept = {"model": resumed.state_dict(), "optimiser": second.state_dict()}
            kept = unpack_state(pack_state(kept))
            resumed = network()
            resumed.load_state_dict(kept["model"])
            second = build_optimiser(resumed, config, CPU)
            load_optimiser(second, kept["optimiser"])
        step(resumed, second, number, config)
    assert same(unbroken, resumed)
    ours, theirs = (pack_state({"optimiser": each.state_dict()}) for each in (first, second))
    assert ours == theirs


def test_moments_of_other_groups_are_refused() -> None:
    model = network()
    state = build_optimiser(model, CONFIGS["adamw"], CPU).state_dict()
    with pytest.raises(ValueError, match="different number of parameter groups"):
        load_optimiser(build_optimiser(model, AdamConfig(), CPU), state)


def test_rates_reach_every_group_by_its_share() -> None:
    """Fault: the encoder at the full rate from the second step on; the second beta lost."""
    optimiser = build_optimiser(network(), AdamConfig(lr=1.0, encoder_lr=0.1), CPU)
    assert {group["lr"] for group in optimiser.param_groups} == {0.1, 1.0}
    set_rates(optimiser, 0.5, momentum=0.85)
    assert {group["lr"] for group in optimiser.param_groups} == {0.05, 0.5}
    assert {group["betas"] for group in optimiser.param_groups} == {(0.85, 0.999)}
    sgd = build_optimiser(network(), SGDConfig(momentum=0.7), CPU)
    set_rates(sgd, 0.5)
    assert {group["momentum"] for group in sgd.param_groups} == {0.7}
    set_rates(sgd, 0.5, momentum=0.85)
    assert {group["momentum"] for group in sgd.param_groups} == {0.85}


def test_layers_learn_slower_the_earlier_they_are() -> None:
    """Fault: the order of stages turned round, the head slowed down, the encoder's factor forgotten."""
    found = rates(network(), AdamConfig(encoder_lr=0.5, layer_decay=0.8))
    expected = {"conv1": 5, "bn1": 5, "layer1": 4, "layer2": 3, "layer3": 2, "layer4": 1}
    for name, rate in found.items():
        part = name.removeprefix("encoder.").split(".")[0]
        assert rate == (0.5 * 0.8 ** expected[part] if part in expected else 1.0), name
    flat = rates(network(), AdamConfig(encoder_lr=0.5))
    assert {rate for name, rate in flat.items() if name.startswith("encoder.")} == {0.5}
    assert {flat["classifier.weight"], flat["classifier.bias"], flat["upsample.weight"]} == {1.0}


def test_the_stages_of_encoders_are_told_by_their_names() -> None:
    """Fault: blocks within a stage taken for stages, or stage 10 put before stage 2."""
    cases = (
        (["conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer2.1.bn2.bias"], [0, 0, 1, 2]),
        (["stem_0.weight", "stages_0.blocks.0.gamma", "stages_0.blocks.2.gamma", "stages_1.x"], [0, 1, 1, 2]),
        (["conv_stem.weight", "blocks.0.0.conv.weight", "blocks.0.1.x", "blocks.1.0.x"], [0, 1, 1, 2]),
        (["stem.conv.weight", "s1.b1.conv.weight", "s2.b10.conv.weight", "head.weight"], [0, 1, 2, 2]),
        (["net.stages.2.x", "net.stages.10.x"], [1, 2]),
    )  # fmt: skip
    for names, expected in cases:
        assert encoder_depths(names) == expected


def test_an_encoder_without_stages_has_no_layer_decay() -> None:
    model = nn.ModuleDict({"encoder": nn.Conv2d(3, 3, 1), "head": nn.Conv2d(3, 3, 1)})
    assert len(parameter_groups(model, AdamConfig())) == 1
    with pytest.raises(
        InputError, match=r"^optimiser.layer_decay: the stages of this encoder cannot be told"
    ):
        parameter_groups(model, AdamConfig(layer_decay=0.9))


def test_a_frozen_encoder_stays_as_it_is_and_then_learns() -> None:
    """Fault: batch statistics or weight decay that move it all the same; an encoder frozen for ever."""
    config = AdamWConfig(lr=1e-2, weight_decay=0.5, frozen_encoder_epochs=2)
    model = network()
    optimiser = build_optimiser(model, config, CPU)

    def encoder() -> dict[str, Tensor]:
        return {name: value.clone() for name, value in model.encoder.state_dict().items()}

    start, head = encoder(), model.classifier.weight.clone()
    for number in range(2):
        step(model, optimiser, number, config)
        assert freeze(model.train(), number, config)
        assert not any(p.requires_grad for p in model.encoder.parameters())
    now = encoder()
    assert all(torch.equal(start[name], now[name]) for name in start)
    assert not torch.equal(head, model.classifier.weight)
    assert model.classifier.training
    step(model, optimiser, 2, config)
    assert not freeze(model.train(), 2, config)
    now = encoder()
    assert not any(torch.equal(start[name], now[name]) for name in start)


def test_without_frozen_epochs_nothing_is_touched() -> None:
    model = network()
    model.encoder.requires_grad_(False)
    assert not freeze(model, 0, AdamConfig())
    assert not any(p.requires_grad for p in model.encoder.parameters())


def test_settings_of_optimisers() -> None:
    read = TypeAdapter(OptimiserConfig).validate_python
    assert read({}) == AdamConfig()
    assert read({"lr": 1e-3}) == AdamConfig(lr=1e-3)
    assert read({"kind": "sgd"}) == SGDConfig(lr=1e-2, momentum=0.9, weight_decay=1e-4)
    default = AdamConfig()
    assert (default.lr, default.weight_decay, default.betas, default.eps) == (1e-4, 0.0, (0.9, 0.999), 1e-8)
    assert (default.encoder_lr, default.layer_decay, default.clip_norm) == (1.0, 1.0, None)
    for wrong, message in (
        ({"kind": "sgd", "momentum": 0, "nesterov": True}, "nesterov looks ahead along the momentum"),
        ({"kind": "sgd", "betas": (0.9, 0.9)}, "Extra inputs are not permitted"),
        ({"betas": (0.9, 1.0)}, "each must be at least 0 and below 1"),
        ({"kind": "adamw", "betas": (-0.1, 0.9)}, "each must be at least 0 and below 1"),
        ({"layer_decay": 0}, "greater than 0"),
        ({"clip_norm": 0}, "greater than 0"),
        ({"kind": "lion"}, "does not match any of the expected tags"),
    ):
        with pytest.raises(ValidationError, match=message):
            read(wrong)
