"""The style encoder: photograph → the distribution of its style code."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import GeneratorArchitecture
from segspade_core.spade.spectral import SpectralConv2d

_SIDE = 256
_MULTIPLES = (1, 2, 4, 8, 8, 8)  # channels of the six convolutions, times the width


class StyleEncoder(nn.Module):
    """Six convolutions with stride 2, instance norm, and two linear layers.

    Source: Park et al., CVPR 2019, section 4 "Guided image synthesis" and appendix A, figure 14.
    """

    def __init__(self, architecture: GeneratorArchitecture) -> None:
        super().__init__()
        channels = 3
        self.steps = nn.ModuleList()
        for multiple in _MULTIPLES:
            # instance norm takes any bias away again
            self.steps.append(
                SpectralConv2d(channels, architecture.style_width * multiple, 3, 2, padding=1, bias=False)
            )
            channels = architecture.style_width * multiple
        inside = channels * (_SIDE // 2 ** len(_MULTIPLES)) ** 2
        self.mu = nn.Linear(inside, architecture.style_dim)
        self.logvar = nn.Linear(inside, architecture.style_dim)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [-1, 1] → mu and logvar, each (B, style_dim) float32."""
        x = F.interpolate(images, size=(_SIDE, _SIDE), mode="bilinear")  # as published: the aspect goes
        for conv in self.steps:
            x = F.leaky_relu(F.instance_norm(conv(x)), 0.2)
        x = x.flatten(1)
        return self.mu(x).float(), self.logvar(x).float()


def sample_style(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """mu + exp(logvar / 2) * noise, each (B, Z): a draw that gradients pass through."""
    return mu + torch.exp(0.5 * logvar) * noise


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """Of N(mu, exp(logvar)) from N(0, 1), summed over the code and averaged over the batch; a scalar.

    Source: Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014, appendix B. The published code
    sums over the batch as well; the mean keeps the weight's meaning at any batch size.
    """
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(dim=1).mean()


def draw_style(seed: int, style_dim: int) -> tuple[Tensor, Tensor]:
    """(style_dim,) from N(0, 1), and one number from [0, 1): drawn on the CPU, alike on every device."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(style_dim, generator=random), torch.rand((), generator=random)
