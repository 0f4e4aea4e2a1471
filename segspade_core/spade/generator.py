"""The SPADE generator: label map → photograph, with the entry names of published weights."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import InputError
from segspade_core.spade.modulation import Spade
from segspade_core.spade.semantics import shrink_semantics
from segspade_core.spade.spectral import SpectralConv2d

_SLOPE = 0.2


def semantic_channels(architecture: GeneratorArchitecture) -> int:
    """Channels of the semantics: one per label, and one for instance edges."""
    return architecture.num_labels + int(architecture.instance_edges)


def block_widths(architecture: GeneratorArchitecture) -> list[int]:
    """Channels between the blocks: out of `fc`, then out of every `up` block; the last is `width`.

    They halve from block to block: 1024, 512, 256, 128, 64 as published. More than four `up` blocks go on at
    16 times `width` for a while; fewer start lower.
    """
    ups = up_blocks(architecture)
    exponents = [min(4, ups - index) for index in range(ups + 1)]
    return [min(architecture.max_channels, architecture.width * 2**exponent) for exponent in exponents]


def up_blocks(architecture: GeneratorArchitecture) -> int:
    """How many blocks `up_0`, ... there are; from six upsamplings on, one is between the middle blocks."""
    return architecture.upsamplings - (2 if architecture.upsamplings >= 6 else 1)


class SpadeBlock(nn.Module):
    """Residual block of two modulated convolutions (Park et al., CVPR 2019, figure 4 and appendix A)."""

    def __init__(self, channels_in: int, channels_out: int, semantic_channels: int, hidden: int) -> None:
        super().__init__()
        middle = min(channels_in, channels_out)
        self.conv_0 = SpectralConv2d(channels_in, middle, 3, padding=1)
        self.conv_1 = SpectralConv2d(middle, channels_out, 3, padding=1)
        self.norm_0 = Spade(channels_in, semantic_channels, hidden)
        self.norm_1 = Spade(middle, semantic_channels, hidden)
        self.learned_shortcut = channels_in != channels_out
        if self.learned_shortcut:
            self.conv_s = SpectralConv2d(channels_in, channels_out, 1, bias=False)
            self.norm_s = Spade(channels_in, semantic_channels, hidden)

    def forward(self, x: Tensor, semantics: Tensor) -> Tensor:
        """x (B, C_in, h, w), semantics (B, S, h, w) → (B, C_out, h, w)."""
        shortcut = self.conv_s(self.norm_s(x, semantics)) if self.learned_shortcut else x
        x = self.conv_0(F.leaky_relu(self.norm_0(x, semantics), _SLOPE))
        x = self.conv_1(F.leaky_relu(self.norm_1(x, semantics), _SLOPE))
        return x + shortcut


class Generator(nn.Module):
    """SPADE without an encoder: the picture starts from the label map itself, taken to the head's size."""

    def __init__(self, architecture: GeneratorArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels, hidden = semantic_channels(architecture), architecture.hidden
        widths = block_widths(architecture)
        self.fc = nn.Conv2d(channels, widths[0], 3, padding=1)
        for name in ("head_0", "G_middle_0", "G_middle_1"):
            self.add_module(name, SpadeBlock(widths[0], widths[0], channels, hidden))
        for index, (wide, narrow) in enumerate(itertools.pairwise(widths)):
            self.add_module(f"up_{index}", SpadeBlock(wide, narrow, channels, hidden))
        self.conv_img = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self._blocks = blocks(architecture)

    def forward(self, semantics: Tensor) -> Tensor:
        """(B, S, H, W) of `build_semantics` → (B, 3, H, W) in [-1, 1].

        Raises:
            InputError: H or W is no multiple of 2**upsamplings.
        """
        check_size(self.architecture, semantics.shape[-2], semantics.shape[-1])
        semantics = semantics.contiguous(memory_format=torch.channels_last)
        factor = 2**self.architecture.upsamplings
        at_size = shrink_semantics(semantics, factor)
        x = self.fc(at_size)  # (B, widths[0], H / factor, W / factor)
        for name, doubles in self._blocks:
            if doubles:
                factor //= 2
                at_size = shrink_semantics(semantics, factor)
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.get_submodule(name)(x, at_size)  # (B, C, H / factor, W / factor)
        return torch.tanh(self.conv_img(F.leaky_relu(x, _SLOPE)).float())

    def inference_copy(self) -> Generator:
        """An independent copy in evaluation mode whose spectral norms are folded into plain convolutions."""
        network = copy.deepcopy(self).eval().requires_grad_(False)
        for block in network.modules():
            if isinstance(block, SpadeBlock):
                for name, conv in list(block.named_children()):
                    if isinstance(conv, SpectralConv2d):
                        setattr(block, name, conv.folded())
        return network.to(memory_format=torch.channels_last)


def blocks(architecture: GeneratorArchitecture) -> list[tuple[str, bool]]:
    """Names of the blocks in order, and whether the picture is doubled in front of each."""
    start = [("head_0", False), ("G_middle_0", True), ("G_middle_1", architecture.upsamplings >= 6)]
    return start + [(f"up_{index}", True) for index in range(up_blocks(architecture))]


def check_size(architecture: GeneratorArchitecture, height: int, width: int) -> None:
    """Raise InputError unless the network can paint `height` x `width`."""
    step = 2**architecture.upsamplings
    if height % step or width % step or not height or not width:
        raise InputError(
            f"label maps of {height}x{width} do not suit a generator of {architecture.upsamplings} "
            f"upsamplings: both sides must be multiples of {step}; resize them, or ingest at such a size"
        )
