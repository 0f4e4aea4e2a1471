"""A network that labels pixels, on a frozen encoder that learned on ImageNet.

Source: Berrada et al., "Unlocking Pre-trained Image Backbones for Semantic Image Synthesis" (DP-SIMS), CVPR
2024, section 3: frozen features of several levels, standardised, and a light decoder in a U-Net's shape
that is trained. We depart from it in that the features are standardised by constants (see features.py), and
that the picture itself is looked at once more at its own size, where the finest features have half of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import EncoderArchitecture
from segspade_core.errors import WeightsError
from segspade_core.spade.discriminators.efficientnet_lite import CHANNELS, efficientnet_lite0
from segspade_core.spade.discriminators.unet import ResidualBlock, double
from segspade_core.spade.spectral import SpectralConv2d

_SLOPE = 0.2


class EncoderSegmenter(nn.Module):
    """Pictures of any size → logits for every pixel; only the decoder is trained, and only it is saved."""

    def __init__(self, architecture: EncoderArchitecture, classes: int) -> None:
        """Raises WeightsError where the encoder's weights are not known or not installed."""
        super().__init__()
        if architecture.weights != "efficientnet-lite0":
            raise WeightsError(
                f"discriminator.weights '{architecture.weights}': this version knows 'efficientnet-lite0'"
            )
        width = architecture.width
        self.encoder = efficientnet_lite0()
        self.enter = nn.ModuleList(SpectralConv2d(channels, width, 1) for channels in CHANNELS)
        deepest = len(CHANNELS) - 1
        self.up = nn.ModuleList(
            ResidualBlock(width if level == deepest else 2 * width, width) for level in range(deepest + 1)
        )
        self.near = SpectralConv2d(width + 3, width, 3, padding=1)
        self.last = nn.Conv2d(width, classes, 1)  # see UNet

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] → (B, classes, H, W)."""
        images = images.contiguous(memory_format=torch.channels_last)
        entered = [conv(x) for conv, x in zip(self.enter, self.encoder(images), strict=True)]
        x = self.up[-1](entered[-1])
        for block, beside in zip(reversed(self.up[:-1]), reversed(entered[:-1]), strict=True):
            x = block(torch.cat([double(x, beside.shape[-2:]), beside], dim=1))
        x = torch.cat([F.leaky_relu(double(x, images.shape[-2:]), _SLOPE), images], dim=1)
        return self.last(F.leaky_relu(self.near(x), _SLOPE))
