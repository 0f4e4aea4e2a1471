"""SPADE's residual block from tables of modulation, in two ways: PyTorch's own operations, and kernels."""

from __future__ import annotations

import copy
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.spade.fast.convolutions import GatheredConv, Modulated, PointwiseConv, TiledConv, Workshop
from segspade_core.spade.generator import SpadeBlock
from segspade_core.spade.spectral import SpectralConv2d

_SLOPE = 0.2


def folded(conv: SpectralConv2d | nn.Conv2d) -> nn.Conv2d:
    """A plain convolution of its own."""
    return conv.folded() if isinstance(conv, SpectralConv2d) else copy.deepcopy(conv)


class Tables(Protocol):
    """What a block asks of `tables.LevelTables`."""

    def table(self, name: str) -> Tensor:
        """(N, 2C) scale and shift of the SPADE layer `name`."""

    def of_code(self, name: str, code: Tensor | None) -> Tensor:
        """(B, 2C) to add to them, or (0, 2C)."""


class FastBlock(Protocol):
    """One residual block."""

    def __call__(
        self, x: Tensor, doubled: bool, numbers: Tensor, tables: Tables, code: Tensor | None
    ) -> Tensor:
        """Go through the block.

        Args:
            x: (B, C_in, h, w), or half the sides if `doubled`; channels_last.
            doubled: take x to twice its sides first, nearest.
            numbers: (B, h, w) int32 rows of the tables.
            tables: of this resolution.
            code: (B, Z), for generators that have it in their layers; or None.

        Returns:
            (B, C_out, h, w), channels_last.
        """


class PlainConv:
    """PyTorch's own, with products in `dtype`; what goes in and comes out is float32."""

    def __init__(self, conv: SpectralConv2d | nn.Conv2d, dtype: torch.dtype) -> None:
        self._conv = folded(conv).requires_grad_(False).to(dtype).to(memory_format=torch.channels_last)

    def __call__(self, x: Tensor) -> Tensor:
        return self._conv(x.to(self._conv.weight.dtype)).float()


class PlainBlock:
    """By PyTorch's own operations, on any device, with convolutions in any dtype."""

    def __init__(self, name: str, block: SpadeBlock, dtype: torch.dtype) -> None:
        self._name = name

        self._conv_0, self._conv_1 = PlainConv(block.conv_0, dtype), PlainConv(block.conv_1, dtype)
        self._conv_s = PlainConv(block.conv_s, dtype) if block.learned_shortcut else None

    def __call__(
        self, x: Tensor, doubled: bool, numbers: Tensor, tables: Tables, code: Tensor | None
    ) -> Tensor:
        """As `FastBlock`."""
        if doubled:
            x = F.interpolate(x, scale_factor=2, mode="nearest")

        def modulated(x: Tensor, norm: str) -> Tensor:
            name = f"{self._name}.{norm}"
            rows = F.embedding(numbers, tables.table(name))  # (B, h, w, 2C)
            if code is not None:
                rows += tables.of_code(name, code)[:, None, None]
            scale, shift = rows.permute(0, 3, 1, 2).chunk(2, dim=1)
            return torch.addcmul(shift, x, scale)

        shortcut = x if self._conv_s is None else self._conv_s(modulated(x, "norm_s"))
        x = self._conv_0(F.leaky_relu_(modulated(x, "norm_0"), _SLOPE))
        x = self._conv_1(F.leaky_relu_(modulated(x, "norm_1"), _SLOPE))
        return x.add_(shortcut)


class CompiledBlock:
    """By kernels and matrix products: float32 on the CPU. The result lasts until the block after next."""

    def __init__(self, name: str, index: int, block: SpadeBlock, shop: Workshop, small: bool) -> None:
        """`index` counts the blocks; `small` pictures may have odd sides."""
        self._name, self._shop, self._place = name, shop, f"picture {index % 2}"
        way: type[GatheredConv | TiledConv] = GatheredConv if small else TiledConv
        self._conv_0: GatheredConv | TiledConv = way(folded(block.conv_0))
        self._conv_1: GatheredConv | TiledConv = way(folded(block.conv_1))
        self._conv_s: PointwiseConv | None = None
        if block.learned_shortcut:
            self._conv_s = PointwiseConv(folded(block.conv_s))

    def __call__(
        self, x: Tensor, doubled: bool, numbers: Tensor, tables: Tables, code: Tensor | None
    ) -> Tensor:
        """As `FastBlock`."""
        shop, channels = self._shop, len(self._conv_1.bias)
        x = x.permute(0, 2, 3, 1)
        out = shop.buffers.take(self._place, *numbers.shape, channels)
        middle = shop.buffers.take("middle", *numbers.shape, len(self._conv_0.bias))

        def modulated(x: Tensor, doubled: bool, norm: str, slope: float) -> Modulated:
            name = f"{self._name}.{norm}"
            table, of_code = tables.table(name), tables.of_code(name, code)
            return Modulated(x, int(doubled), numbers, table, of_code, slope)

        if self._conv_s is not None:
            self._conv_s(shop, modulated(x, doubled, "norm_s", 1.0), out)
        elif doubled:
            out.unflatten(1, (-1, 2)).unflatten(3, (-1, 2)).copy_(x[:, :, None, :, None])
        else:
            out.copy_(x)
        self._conv_0(shop, modulated(x, doubled, "norm_0", _SLOPE), middle, add=False)
        self._conv_1(shop, modulated(middle, False, "norm_1", _SLOPE), out, add=True)
        return out.permute(0, 3, 1, 2)
