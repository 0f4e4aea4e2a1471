"""A convolution whose weight is divided by its largest singular value.

Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, algorithm 1.
The entries of the state dict (`weight_orig`, `weight_u`, `weight_v`) are those of published SPADE weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EPS = 1e-12


class SpectralConv2d(nn.Module):
    """Conv2d with weight W / sigma, where sigma = u^T W v estimates the spectral norm of W as (out, in*k*k).

    In training every forward first improves u and v by one power iteration. In evaluation u and v stay as
    they are stored, so that published weights give the published network to the bit of u and v.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, padding
        # Conv2d's own initialisation, then u and v as random directions
        start = nn.Conv2d(channels_in, channels_out, kernel, bias=bias)
        self.bias = start.bias
        self.weight_orig = start.weight
        taps = channels_in * kernel * kernel
        self.register_buffer("weight_u", F.normalize(torch.randn(channels_out), dim=0, eps=_EPS))
        self.register_buffer("weight_v", F.normalize(torch.randn(taps), dim=0, eps=_EPS))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.normalised_weight(), self.bias, self.stride, self.padding)

    def normalised_weight(self) -> Tensor:
        """(out, in, k, k) float32: W / sigma; gradients flow through sigma, with u and v held constant."""
        # float32 even under autocast: the power iteration does not converge on 8 bits of mantissa
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            matrix = self.weight_orig.flatten(1)
            if self.training:
                self.power_iteration()
            # clones: the next forward changes the buffers in place, and backward needs these values
            u, v = self.weight_u.clone(), self.weight_v.clone()
            sigma = torch.dot(u, torch.mv(matrix, v))
            return self.weight_orig / sigma

    @torch.no_grad()
    def sigma(self) -> Tensor:
        """u^T W v as they are stored, a scalar."""
        return torch.dot(self.weight_u, torch.mv(self.weight_orig.flatten(1), self.weight_v))

    @torch.no_grad()
    def power_iteration(self, iterations: int = 1) -> None:
        """Move u and v towards the first singular vectors of W."""
        matrix = self.weight_orig.flatten(1)
        for _ in range(iterations):
            self.weight_v.copy_(F.normalize(torch.mv(matrix.t(), self.weight_u), dim=0, eps=_EPS))
            self.weight_u.copy_(F.normalize(torch.mv(matrix, self.weight_v), dim=0, eps=_EPS))

    def folded(self) -> nn.Conv2d:
        """A plain Conv2d with the normalised weight, for inference."""
        channels_out, channels_in, kernel, _ = self.weight_orig.shape
        conv = nn.Conv2d(
            channels_in, channels_out, kernel, self.stride, self.padding, bias=self.bias is not None,
            device="meta",
        ).to_empty(device=self.weight_orig.device)  # fmt: skip
        with torch.no_grad():
            conv.weight.copy_(self.weight_orig / self.sigma())
            if conv.bias is not None:
                assert self.bias is not None
                conv.bias.copy_(self.bias)
        return conv
