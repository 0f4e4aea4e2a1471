"""Spatially adaptive denormalisation, the layer that SPADE is named after."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.spade.patches.lookups import modulate
from segspade_core.spade.patches.pyramid import Patches
from segspade_core.training.distributed import BatchNorm


class Spade(nn.Module):
    """Batch norm without weights of its own, then scale and shift per pixel from the semantics.

    out = norm(x) * (1 + gamma(semantics)) + beta(semantics)

    Source: Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019,
    equation 1; gamma is learned as a difference to 1, as published weights have it.

    Where there is a code of style and conditions, its share is added to gamma and to beta, alike at every
    pixel. Behind the norm and not in front of it: what all pictures of a batch have in common, such as the
    night, the norm would take away.
    """

    def __init__(self, channels: int, semantic_channels: int, hidden: int, code_dim: int = 0) -> None:
        super().__init__()
        if code_dim:
            self.code = nn.Linear(code_dim, 2 * channels, bias=False)
        self.param_free_norm = BatchNorm(channels, affine=False)
        self.mlp_shared = nn.Sequential(nn.Conv2d(semantic_channels, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, semantics: Tensor | Patches, code: Tensor | None = None) -> Tensor:
        """x (B, C, h, w), semantics (B, S, h, w) or their patches, code (B, Z) or none → (B, C, h, w)."""
        x = self.param_free_norm(x)
        # one convolution for both: the input is read once. `len(x)` would be a constant to torch.export
        weight = torch.cat([self.mlp_gamma.weight, self.mlp_beta.weight])
        bias = torch.cat([_bias(self.mlp_gamma), _bias(self.mlp_beta)])
        of_code = x.new_zeros(x.shape[0], len(bias)) if code is None else self.code(code)  # (B, 2C)
        if isinstance(semantics, Patches):
            shared = self.mlp_shared[0]
            assert isinstance(shared, nn.Conv2d)
            table = semantics.table((shared.weight, _bias(shared)), (weight, bias))
            return modulate(x, table, of_code, semantics.pixels)
        assert x.shape[-2:] == semantics.shape[-2:], (x.shape, semantics.shape)
        both = F.conv2d(self.mlp_shared(semantics), weight, bias, padding=1)  # (B, 2C, h, w)
        if code is not None:
            both = both + of_code[:, :, None, None]
        gamma, beta = both.chunk(2, dim=1)
        return torch.addcmul(beta, x, 1 + gamma)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
