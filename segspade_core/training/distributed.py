"""Several processes that train one network together: each takes its share of every batch.

All of this does nothing where torch.distributed was not started, so that the loops read alike for one process
and for many.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn


def processes() -> int:
    """How many there are."""
    return torch.distributed.get_world_size() if _started() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return torch.distributed.get_rank() if _started() else 0


def is_first() -> bool:
    """Whether this process is the one that saves and tells."""
    return rank() == 0


def summed(value: Tensor) -> Tensor:
    """The sum over all processes; gradients pass through."""
    if processes() == 1:
        return value
    total: Tensor = _Sum.apply(value)
    return total


class _Sum(torch.autograd.Function):
    """Every process's value has its share in every process's sum, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(_context, gradient)


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over all processes, in one message.

    With shares of equal size and losses that are means over samples, these are the joined batch's gradients.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if processes() == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= processes()
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def agree(asked: bool) -> bool:
    """Whether any process was asked to stop: all must stop at the same step."""
    if processes() == 1:
        return asked
    flag = torch.tensor([float(asked)])
    if torch.distributed.get_backend() == "nccl":
        flag = flag.cuda()
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


class BatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics, in training, are those of the batches of all processes together.

    torch's own SyncBatchNorm does this on GPUs alone. Entries of the state dict are those of BatchNorm2d.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape, mean 0 and variance 1 per channel in training."""
        if processes() == 1 or not self.training:
            return super().forward(x)
        dims = (0, 2, 3)
        count = x.numel() // x.shape[1] * processes()  # shares are of one size
        values = x.float()
        mean = summed(values.sum(dims)) / count
        centred = values - mean[:, None, None]
        # in a second pass: a difference of two large sums would lose what the variance is
        variance = summed(centred.square().sum(dims)) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1))
        out = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            out = out * self.weight[:, None, None] + self.bias[:, None, None]
        return out.to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def _started() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
