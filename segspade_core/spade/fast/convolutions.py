"""Convolutions of a modulated picture, by compiled kernels and matrix products, on the CPU in float32.

The modulated picture never exists as a whole: a part of it is made, multiplied and forgotten while it is in
the cache. Pictures are (B, h, w, C), so that a product over channels is a plain matrix product.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segspade_core.spade.fast.buffers import Buffers
from segspade_core.team import Team

# a tile's output pixels from its input pixels need 16 products in place of 36
_G = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float64)
_PART_FLOATS = 65536  # channels times tiles (or pixels) of a part: a few MB with all that is made of it


@dataclass(frozen=True)
class Modulated:
    """act(x * scale + shift) of a picture, as yet unmade.

    x (B, h >> doubled, w >> doubled, C); numbers (B, h, w) int32 rows of table (N, 2C), scale and shift, to
    which of_code (B, 2C) is added, or nothing if it is (0, 2C); slope of the leaky ReLU, 1 for no activation.
    """

    x: Tensor
    doubled: int
    numbers: Tensor
    table: Tensor
    of_code: Tensor
    slope: float


class Workshop:
    """Kernels, the threads they run on, and the memory they work in."""

    def __init__(self, kernels: Any, buffers: Buffers) -> None:
        self.kernels, self.buffers, self.team = kernels, buffers, Team()

    def modulate(self, source: Modulated, sample: int, top: int, left: int, out: Tensor) -> None:
        """Make the part of `source` that begins at (top, left) and has the size of `out` (r, c, C)."""
        kernel = self.kernels.modulate
        self.team.run(
            kernel, len(out), source.x, source.doubled, source.numbers, source.table, source.of_code,
            source.slope, sample, top, left, out,
        )  # fmt: skip


class TiledConv:
    """3x3 convolution by transformed tiles, for even sides: 4/9 of the products, and as exact in float32.

    Source: Lavin and Gray, CVPR 2016, F(2x2, 3x3).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        channels_out, channels_in, _, _ = conv.weight.shape
        self.weight = torch.empty(16, channels_in, channels_out)
        weight = conv.weight.detach().double()
        for index, (row, column) in enumerate(itertools.product(_G, _G)):
            # one at a time: all in float64 would be seven times what the convolution holds
            self.weight[index] = (weight @ column @ row).t()
        assert conv.bias is not None
        self.bias = conv.bias.detach()

    def __call__(self, shop: Workshop, source: Modulated, out: Tensor, add: bool) -> None:
        """Write (or add) the convolution of `source` to out (B, h, w, C_out)."""
        (batch, height, width, _), (_, channels_in, channels_out) = out.shape, self.weight.shape
        take = shop.buffers.take
        rows = 16 if channels_in <= _PART_FLOATS // 512 else 8
        columns = max(16, min(32, _PART_FLOATS // channels_in // rows))
        for sample, y, x in np.ndindex(batch, -(-height // (2 * rows)), -(-width // (2 * columns))):
            top, left = 2 * rows * y, 2 * columns * x
            tall, wide = min(rows, height // 2 - rows * y), min(columns, width // 2 - columns * x)
            pixels = take("pixels", 2 * tall + 2, 2 * wide + 2, channels_in)
            tiles = take("tiles", 16, tall * wide, channels_in)
            products = take("products", 16, tall * wide, channels_out)
            shop.modulate(source, sample, top - 1, left - 1, pixels)
            shop.team.run(shop.kernels.into_tiles, tall, pixels, tiles.unflatten(0, (4, 4)))
            torch.bmm(tiles, self.weight, out=products)
            shop.team.run(
                shop.kernels.from_tiles, tall, products.view(4, 4, tall, wide, channels_out), self.bias,
                add, sample, top, left, out,
            )  # fmt: skip


class GatheredConv:
    """3x3 convolution as one matrix product, for small pictures: there it counts to read the weight once."""

    def __init__(self, conv: nn.Conv2d) -> None:
        self.weight = conv.weight.detach().permute(2, 3, 1, 0).flatten(0, 2).contiguous()  # (9 * C_in, C_out)
        assert conv.bias is not None
        self.bias = conv.bias.detach()

    def __call__(self, shop: Workshop, source: Modulated, out: Tensor, add: bool) -> None:
        """Write (or add) the convolution of `source` to out (B, h, w, C_out)."""
        batch, height, width, channels_out = out.shape
        channels_in = source.x.shape[3]
        pixels = shop.buffers.take("pixels", batch, height + 2, width + 2, channels_in)
        gathered = shop.buffers.take("tiles", batch, height, width, 3, 3, channels_in)
        for sample in range(batch):
            shop.modulate(source, sample, -1, -1, pixels[sample])
        gathered.copy_(pixels.unfold(1, 3, 1).unfold(2, 3, 1).permute(0, 1, 2, 4, 5, 3))
        out = out.view(-1, channels_out)
        if not add:
            out.zero_()
        out += self.bias
        out.addmm_(gathered.view(len(out), 9 * channels_in), self.weight)


class PointwiseConv:
    """1x1 convolution without a bias."""

    def __init__(self, conv: nn.Conv2d) -> None:
        self.weight = conv.weight.detach().flatten(1).t().contiguous()  # (C_in, C_out)

    def __call__(self, shop: Workshop, source: Modulated, out: Tensor) -> None:
        """Write the convolution of `source` to out (B, h, w, C_out)."""
        (batch, height, width, _), (channels_in, channels_out) = out.shape, self.weight.shape
        rows = max(1, min(height, 2 * _PART_FLOATS // (width * channels_in)))
        for sample, y in np.ndindex(batch, -(-height // rows)):
            top = rows * y
            tall = min(rows, height - top)
            pixels = shop.buffers.take("pixels", tall, width, channels_in)
            shop.modulate(source, sample, top, 0, pixels)
            torch.mm(
                pixels.view(-1, channels_in), self.weight,
                out=out[sample, top : top + tall].view(-1, channels_out),
            )  # fmt: skip
