"""The multi-scale patch discriminator.

Source: Wang et al., "High-Resolution Image Synthesis ... with Conditional GANs" (pix2pixHD), CVPR 2018,
section 3.2; spectral norm on every convolution as Park et al., CVPR 2019, section 4 say.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import PatchArchitecture
from segspade_core.spade.discriminators.scene import Judgement, Scene
from segspade_core.spade.losses import adversarial, feature_matching, hinge_discriminator
from segspade_core.spade.spectral import SpectralConv2d

_MOST_CHANNELS = 8  # times the width of the first layer


class PatchDiscriminator(nn.Module):
    """Judges patches that overlap: `layers` convolutions with stride 2, one without, one to the logits."""

    def __init__(self, channels_in: int, width: int, layers: int) -> None:
        super().__init__()
        steps = nn.ModuleList()
        for index in range(layers + 1):
            channels_out = width * min(2**index, _MOST_CHANNELS)
            stride = 2 if index < layers else 1
            steps.append(SpectralConv2d(channels_in, channels_out, 4, stride, padding=2))
            channels_in = channels_out
        self.steps = steps
        self.last = SpectralConv2d(channels_in, 1, 4, padding=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, H, W) → the features of every layer and at last the logits (B, 1, h, w)."""
        features: list[Tensor] = []
        for index, conv in enumerate(self.steps):
            x = conv(x)
            if index:  # the first layer sees the picture's own contrast
                x = F.instance_norm(x)
            x = F.leaky_relu(x, 0.2)
            features.append(x)
        return [*features, self.last(x)]


class MultiScaleDiscriminator(nn.Module):
    """One patch discriminator per scale; each scale sees the picture at half the size of the one before."""

    def __init__(self, architecture: PatchArchitecture, semantic_channels: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(semantic_channels + 3, architecture.width, architecture.layers)
            for _ in range(architecture.scales)
        )

    def forward(self, scene: Scene) -> Judgement:
        """Hinge loss and feature matching, from one look at each picture.

        As published, void pixels are looked at like all others: no patch is of one label.
        """
        fake = self.judge(scene.semantics, scene.fake)
        real = self.judge(scene.semantics, scene.real)
        return Judgement(
            discriminator=hinge_discriminator(real, fake),
            generator={"adversarial": adversarial(fake), "feature_matching": feature_matching(real, fake)},
        )

    def judge(self, semantics: Tensor, images: Tensor) -> list[list[Tensor]]:
        """semantics (B, S, H, W), images (B, 3, H, W) in [-1, 1] → per scale, features and logits."""
        x = torch.cat([semantics, images], dim=1).contiguous(memory_format=torch.channels_last)
        judged = []
        for index, scale in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            judged.append(scale(x))
        return judged
