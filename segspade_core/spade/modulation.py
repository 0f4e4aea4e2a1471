"""Spatially adaptive denormalisation, the layer that SPADE is named after."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Spade(nn.Module):
    """Batch norm without weights of its own, then scale and shift per pixel from the semantics.

    out = norm(x) * (1 + gamma(semantics)) + beta(semantics)

    Source: Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019,
    equation 1; gamma is learned as a difference to 1, as published weights have it.
    """

    def __init__(self, channels: int, semantic_channels: int, hidden: int) -> None:
        super().__init__()
        self.param_free_norm = nn.BatchNorm2d(channels, affine=False)
        self.mlp_shared = nn.Sequential(nn.Conv2d(semantic_channels, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, semantics: Tensor) -> Tensor:
        """x (B, C, h, w) and semantics (B, S, h, w) → (B, C, h, w)."""
        assert x.shape[-2:] == semantics.shape[-2:], (x.shape, semantics.shape)
        gamma, beta = self.modulation(semantics)
        return torch.addcmul(beta, self.param_free_norm(x), 1 + gamma)

    def modulation(self, semantics: Tensor) -> tuple[Tensor, Tensor]:
        """gamma and beta, each (B, C, h, w)."""
        shared = self.mlp_shared(semantics)  # (B, hidden, h, w)
        # one convolution for both: the input is read once
        weight = torch.cat([self.mlp_gamma.weight, self.mlp_beta.weight])
        bias = torch.cat([_bias(self.mlp_gamma), _bias(self.mlp_beta)])
        gamma, beta = F.conv2d(shared, weight, bias, padding=1).chunk(2, dim=1)
        return gamma, beta


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
