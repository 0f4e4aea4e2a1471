"""The SPADE generator: label map → photograph, with the entry names of published weights."""

from __future__ import annotations

import copy
import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import InputError
from segspade_core.spade.code import CodeBook, check_code, code_dim
from segspade_core.spade.modulation import Spade
from segspade_core.spade.patches.pyramid import LabelPyramid, Patches
from segspade_core.spade.semantics import described, shrink_semantics
from segspade_core.spade.spectral import SpectralConv2d

_SLOPE = 0.2


def semantic_channels(architecture: GeneratorArchitecture) -> int:
    """Channels of the semantics: one per label, and one for instance edges."""
    return architecture.num_labels + int(architecture.instance_edges)


def block_widths(architecture: GeneratorArchitecture) -> list[int]:
    """Channels between the blocks: out of `fc`, then out of every `up` block; the last is `width`.

    They halve from block to block: 1024, 512, 256, 128, 64 as published, and down to 32 with seven
    upsamplings; none is above `max_channels`.
    """
    ups = up_blocks(architecture)
    return [
        min(architecture.max_channels, architecture.width * 2 ** (ups - index)) for index in range(ups + 1)
    ]


def up_blocks(architecture: GeneratorArchitecture) -> int:
    """How many blocks `up_0`, ... there are; from six upsamplings on, one is between the middle blocks."""
    return architecture.upsamplings - (2 if architecture.upsamplings >= 6 else 1)


class SpadeBlock(nn.Module):
    """Residual block of two modulated convolutions (Park et al., CVPR 2019, figure 4 and appendix A)."""

    def __init__(
        self, channels_in: int, channels_out: int, semantic_channels: int, hidden: int, code_dim: int = 0
    ) -> None:
        super().__init__()
        middle = min(channels_in, channels_out)
        self.conv_0 = SpectralConv2d(channels_in, middle, 3, padding=1)
        self.conv_1 = SpectralConv2d(middle, channels_out, 3, padding=1)
        self.norm_0 = Spade(channels_in, semantic_channels, hidden, code_dim)
        self.norm_1 = Spade(middle, semantic_channels, hidden, code_dim)
        self.learned_shortcut = channels_in != channels_out
        if self.learned_shortcut:
            self.conv_s = SpectralConv2d(channels_in, channels_out, 1, bias=False)
            self.norm_s = Spade(channels_in, semantic_channels, hidden, code_dim)

    def forward(self, x: Tensor, semantics: Tensor | Patches, code: Tensor | None = None) -> Tensor:
        """x (B, C_in, h, w), semantics (B, S, h, w) or patches, code (B, Z) or none → (B, C_out, h, w)."""
        shortcut = self.conv_s(self.norm_s(x, semantics, code)) if self.learned_shortcut else x
        x = self.conv_0(F.leaky_relu(self.norm_0(x, semantics, code), _SLOPE))
        x = self.conv_1(F.leaky_relu(self.norm_1(x, semantics, code), _SLOPE))
        return x + shortcut


class SpadeGenerator(nn.Module):
    """Semantics, and a code of style and conditions where the architecture has one → photograph.

    Three forms, told by the architecture:

    - no code: the picture starts from the label map itself, taken to the head's size (as published);
    - a code: the same, and the code takes part in every SPADE layer (see `Spade`), alike at every pixel, so
      that any size can still be painted;
    - `linear_head`: the picture starts from the code alone (the published variant with a style encoder).
    """

    def __init__(self, architecture: GeneratorArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels, hidden = semantic_channels(architecture), architecture.hidden
        widths, length = block_widths(architecture), code_dim(architecture)
        self.fc: nn.Module
        if architecture.linear_head is None:
            self.fc = nn.Conv2d(channels, widths[0], 3, padding=1)
        else:
            self.fc = nn.Linear(length, widths[0] * math.prod(architecture.linear_head))
            length = 0  # it has had its say
        self.code_book = CodeBook(architecture)
        for name in ("head_0", "G_middle_0", "G_middle_1"):
            self.add_module(name, SpadeBlock(widths[0], widths[0], channels, hidden, length))
        for index, (wide, narrow) in enumerate(itertools.pairwise(widths)):
            self.add_module(f"up_{index}", SpadeBlock(wide, narrow, channels, hidden, length))
        self.conv_img = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self._blocks = blocks(architecture)

    def forward(self, semantics: Tensor | LabelPyramid, code: Tensor | None = None) -> Tensor:
        """Paint.

        Args:
            semantics: (B, S, H, W) of `one_hot_semantics`, in the weights' dtype; or a pyramid of the same
                maps, which gives the same picture and gradients at less cost.
            code: (B, Z) of `code_book`, in the weights' dtype; None paints in the mean style, under no
                particular condition.

        Returns:
            (B, 3, H, W) float32 in [-1, 1].

        Raises:
            InputError: the network cannot paint H x W, or semantics or code are of another shape or dtype.
        """
        dtype = self.conv_img.weight.dtype
        check_semantics(self.architecture, semantics, dtype)
        if code is not None:
            check_code(self.architecture, code, semantics.shape[0], dtype)
        if isinstance(semantics, Tensor):
            semantics = semantics.contiguous(memory_format=torch.channels_last)
        if code is None and code_dim(self.architecture):
            code = self.code_book(None, {}, semantics.shape[0]).to(self.conv_img.weight.device)
        factor = 2**self.architecture.upsamplings
        at_size = _at(semantics, factor)
        x = self.start(_dense(semantics, factor), code)  # (B, widths[0], H / factor, W / factor)
        if self.architecture.linear_head is not None:
            code = None
        for name, doubles in self._blocks:
            if doubles:
                factor //= 2
                at_size = _at(semantics, factor)
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.get_submodule(name)(x, at_size, code)  # (B, C, H / factor, W / factor)
        return torch.tanh(self.conv_img(F.leaky_relu(x, _SLOPE)).float())

    def start(self, semantics: Tensor, code: Tensor | None) -> Tensor:
        """What the head goes on from, (B, widths[0], h, w), of semantics (B, S, h, w) at its size."""
        if self.architecture.linear_head is None:
            x: Tensor = self.fc(semantics)
        else:
            x = self.fc(code).unflatten(1, (-1, *self.architecture.linear_head))
            x = x.contiguous(memory_format=torch.channels_last)
        return x

    def inference_copy(self) -> SpadeGenerator:
        """An independent copy in evaluation mode whose spectral norms are folded into plain convolutions."""
        network = copy.deepcopy(self).eval().requires_grad_(False)
        for block in network.modules():
            if isinstance(block, SpadeBlock):
                for name, conv in list(block.named_children()):
                    if isinstance(conv, SpectralConv2d):
                        setattr(block, name, conv.folded())
        return network.to(memory_format=torch.channels_last)


def _at(semantics: Tensor | LabelPyramid, factor: int) -> Tensor | Patches:
    return shrink_semantics(semantics, factor) if isinstance(semantics, Tensor) else semantics.at(factor)


def _dense(semantics: Tensor | LabelPyramid, factor: int) -> Tensor:
    return shrink_semantics(semantics if isinstance(semantics, Tensor) else semantics.semantics, factor)


def blocks(architecture: GeneratorArchitecture) -> list[tuple[str, bool]]:
    """Names of the blocks in order, and whether the picture is doubled in front of each."""
    start = [("head_0", False), ("G_middle_0", True), ("G_middle_1", architecture.upsamplings >= 6)]
    return start + [(f"up_{index}", True) for index in range(up_blocks(architecture))]


def check_semantics(
    architecture: GeneratorArchitecture, semantics: Tensor | LabelPyramid, dtype: torch.dtype
) -> None:
    """Raise InputError unless these are (B, S, H, W) of `dtype`, of a size that the network can paint."""
    dense = semantics.semantics if isinstance(semantics, LabelPyramid) else semantics
    channels = semantic_channels(architecture)
    fits = isinstance(dense, Tensor) and dense.ndim == 4 and dense.shape[1] == channels
    if not fits or dense.dtype != dtype:
        raise InputError(
            f"the semantics are {described(dense)}; this generator takes a tensor of shape "
            f"(B, {channels}, H, W) and {dtype}, as one_hot_semantics makes it of label ids"
        )
    check_size(architecture, dense.shape[2], dense.shape[3])


def check_size(architecture: GeneratorArchitecture, height: int, width: int) -> None:
    """Raise InputError unless the network can paint `height` x `width`."""
    step, head = 2**architecture.upsamplings, architecture.linear_head
    if head is not None and (height, width) != (head[0] * step, head[1] * step):
        raise InputError(
            f"label maps of {height}x{width} do not suit this generator: it starts from a style code, and "
            f"paints at {head[0] * step}x{head[1] * step} alone; resize them, or ingest at that size"
        )
    if height % step or width % step or not height or not width:
        raise InputError(
            f"label maps of {height}x{width} do not suit a generator of {architecture.upsamplings} "
            f"upsamplings: both sides must be multiples of {step}; resize them, or ingest at such a size"
        )
