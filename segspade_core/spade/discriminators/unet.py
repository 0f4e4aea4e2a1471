"""A U-Net that labels pixels, as a discriminator.

Source: Schönfeld et al., "You Only Need Adversarial Supervision for Semantic Image Synthesis" (OASIS), ICLR
2021, appendix (architecture of the discriminator): residual blocks down and up, joined by skip connections,
spectral norm and no other norm. Widths double per level here, as the config says, where theirs are listed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import UNetArchitecture
from segspade_core.spade.spectral import SpectralConv2d

_SLOPE = 0.2


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after a leaky ReLU, beside a 1x1 one where the width changes.

    Args:
        of_picture: the input is a picture, which is not rectified before the first convolution.
    """

    def __init__(self, channels_in: int, channels_out: int, of_picture: bool = False) -> None:
        super().__init__()
        self.of_picture = of_picture
        self.conv_0 = SpectralConv2d(channels_in, channels_out, 3, padding=1)
        self.conv_1 = SpectralConv2d(channels_out, channels_out, 3, padding=1)
        self.conv_s = (
            SpectralConv2d(channels_in, channels_out, 1, bias=False) if channels_in != channels_out else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H, W)."""
        inside = self.conv_0(x if self.of_picture else F.leaky_relu(x, _SLOPE))
        inside = self.conv_1(F.leaky_relu(inside, _SLOPE))
        return inside + (x if self.conv_s is None else self.conv_s(x))


class UNet(nn.Module):
    """Pictures of any size → logits for every pixel."""

    def __init__(self, architecture: UNetArchitecture, classes: int) -> None:
        super().__init__()
        widths = [
            min(architecture.width * 2**level, architecture.max_channels)
            for level in range(architecture.depth)
        ]
        inputs = [3, *widths[:-1]]
        self.down = nn.ModuleList(
            ResidualBlock(a, b, of_picture=not level)
            for level, (a, b) in enumerate(zip(inputs, widths, strict=True))
        )
        # from the bottom up: what comes from below, and all but there the features of this height beside it
        self.up = nn.ModuleList()
        below = widths[-1]
        for level in reversed(range(architecture.depth)):
            out = widths[max(level - 1, 0)]
            beside = widths[level] if level + 1 < architecture.depth else 0
            self.up.append(ResidualBlock(below + beside, out))
            below = out
        # without spectral norm: it would bound the logits, and cross-entropy could never get small
        self.last = nn.Conv2d(below, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] → (B, classes, H, W)."""
        x = images.contiguous(memory_format=torch.channels_last)
        sizes, features = [], []
        for block in self.down:
            sizes.append(x.shape[-2:])
            x = halve(block(x))
            features.append(x)
        features.pop()
        for index, block in enumerate(self.up):
            if index:
                x = torch.cat([x, features.pop()], dim=1)
            x = block(double(x, sizes.pop()))
        return self.last(F.leaky_relu(x, _SLOPE))


def halve(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, ceil(H / 2), ceil(W / 2)): means of 2x2 pixels, of fewer at an odd rim."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


def double(x: Tensor, size: torch.Size) -> Tensor:
    """Undo the shrinking of `halve`: every pixel twice along each side, less what an odd `size` lacks."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")[..., : size[0], : size[1]]
