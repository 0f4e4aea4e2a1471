"""The U-Net, against its definition in single convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import UNetArchitecture
from segspade_core.spade.discriminators.unet import ResidualBlock, UNet, double, halve
from segspade_core.spade.spectral import SpectralConv2d


def small(depth: int = 3) -> UNet:
    torch.manual_seed(0)
    network = UNet(UNetArchitecture(width=4, max_channels=8, depth=depth), classes=5).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):  # what is 0 hides whether it is there
            nn.init.normal_(parameter, std=0.3)
    for module in network.modules():
        if isinstance(module, SpectralConv2d):  # or its sigma is of random directions, and may be near 0
            module.power_iteration(20)
    return network


def means_of_fours(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    out = torch.empty(*x.shape[:2], -(-height // 2), -(-width // 2))
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            square = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            out[:, :, row, column] = square.mean(dim=(2, 3))
    return out


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 2)])
def test_halving_takes_means_and_doubling_repeats(size: tuple[int, int]) -> None:
    """Fault: an odd rim dropped, or weighed as if zeros lay beyond it; doubling that shifts by a pixel."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size)
    small = halve(x)
    torch.testing.assert_close(small, means_of_fours(x))
    again = double(small, x.shape[-2:])
    assert again.shape == x.shape
    for row in range(size[0]):
        for column in range(size[1]):
            assert torch.equal(again[:, :, row, column], small[:, :, row // 2, column // 2])


def apply(conv: nn.Module, x: Tensor) -> Tensor:
    weight = conv.normalised_weight() if isinstance(conv, SpectralConv2d) else conv.weight
    return F.conv2d(x, weight, conv.bias, padding=weight.shape[-1] // 2)


def block(of: nn.Module, x: Tensor, first: bool = False) -> Tensor:
    rectify = nn.LeakyReLU(0.2)
    assert isinstance(of, ResidualBlock)
    inside = apply(of.conv_1, rectify(apply(of.conv_0, x if first else rectify(x))))
    return inside + (x if of.conv_s is None else apply(of.conv_s, x))


@pytest.mark.parametrize("size", [(16, 24), (11, 13)])
def test_is_what_its_definition_says(size: tuple[int, int]) -> None:
    """Fault: a skip connection lost or joined at another height; a rectification or shortcut left out."""
    network = small()
    images = torch.rand(2, 3, *size) * 2 - 1
    half = halve(block(network.down[0], images, first=True))
    quarter = halve(block(network.down[1], half))
    eighth = halve(block(network.down[2], quarter))
    x = block(network.up[0], double(eighth, quarter.shape[-2:]))
    x = block(network.up[1], double(torch.cat([x, quarter], 1), half.shape[-2:]))
    x = block(network.up[2], double(torch.cat([x, half], 1), images.shape[-2:]))
    expected = apply(network.last, F.leaky_relu(x, 0.2))
    assert expected.shape == (2, 5, *size)
    torch.testing.assert_close(network(images), expected)


def test_widths_double_up_to_the_most() -> None:
    """Fault: a width that the config does not say; a convolution without spectral norm, or another norm."""
    with torch.device("meta"):
        network = UNet(UNetArchitecture(), classes=36)
    assert [step.conv_1.weight_orig.shape[0] for step in network.down] == [64, 128, 256, 512, 512, 512]
    # from below and from beside → out
    shapes = [(step.conv_0.weight_orig.shape[1], step.conv_0.weight_orig.shape[0]) for step in network.up]
    assert shapes == [(512, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 64)]
    leaves = [module for module in network.modules() if not list(module.children())]
    others = [module for module in leaves if not isinstance(module, SpectralConv2d)]
    assert others == [network.last]
    assert network.last.weight.shape == (36, 64, 1, 1)


def test_one_sample_is_judged_without_its_neighbours() -> None:
    """Fault: any norm over the batch."""
    network, images = small(), torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]))


@pytest.mark.parametrize("size", [(3, 5), (8, 8), (33, 20)])
def test_a_picture_smaller_than_the_depth_needs(size: tuple[int, int]) -> None:
    """Fault: a feature map of no pixels."""
    assert torch.isfinite(small(depth=6)(torch.rand(1, 3, *size))).all()
    assert small(depth=6)(torch.rand(1, 3, *size)).shape == (1, 5, *size)
