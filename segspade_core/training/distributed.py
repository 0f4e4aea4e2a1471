"""Several processes that train one network together: each takes its share of every batch.

All of this does nothing where torch.distributed was not started, so that the loops read alike for one process
and for many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from segspade_core.errors import InputError


def processes() -> int:
    """How many there are."""
    return torch.distributed.get_world_size() if _started() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return torch.distributed.get_rank() if _started() else 0


def is_first() -> bool:
    """Whether this process is the one that saves and tells."""
    return rank() == 0


def check_shares(batch: int) -> None:
    """Raise InputError unless each process can have as many samples of a batch of that size."""
    if batch % processes():
        raise InputError(
            f"a batch of {batch} cannot be shared alike by {processes()} processes; make `batch` "
            "a multiple of them"
        )


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


def summed_numbers(values: Sequence[float], device: torch.device) -> list[float]:
    """Each number's sum over all processes, in one message, as float64 on the `device` that they talk by."""
    if processes() == 1:
        return list(values)
    total: list[float] = summed(torch.tensor(values, dtype=torch.float64, device=device)).tolist()
    return total


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its sum over all processes, in one message.

    With losses that every process divides by what counts in all shares, these are the joined batch's.
    """
    _join_gradients(parameters, 1)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over all processes, in one message.

    With shares of equal size and losses that are means over samples, these are the joined batch's gradients.
    """
    _join_gradients(parameters, processes())


@torch.no_grad()
def _join_gradients(parameters: Iterable[nn.Parameter], divisor: int) -> None:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if processes() == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= divisor
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
    Shares may be of different sizes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape, mean 0 and variance 1 per channel in training."""
        if processes() == 1 or not self.training:
            return super().forward(x)
        dims = (0, 2, 3)
        values = x.float()
        here = values.new_full((1,), x.numel() // x.shape[1])
        total = summed(torch.cat([values.sum(dims), here]))
        count = total[-1].detach()
        mean = total[:-1] / count
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


class BatchNormAct(BatchNorm):
    """The same with dropout and activation behind it, as in networks of timm."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        out: Tensor = self.act(self.drop(super().forward(x)))
        return out


def join_batch_norms(network: nn.Module) -> None:
    """Let every batch norm of a network take its statistics of the batches of all processes together.

    The modules stay where they are and get another class, so that parameters, entries of the state dict and
    whoever holds one of them know nothing of it. Alone, nothing changes.

    Raises:
        InputError: the network has a batch norm of a kind that cannot be joined.
    """
    if processes() == 1:
        return
    for name, module in network.named_modules():
        if not isinstance(module, _BatchNorm) or isinstance(module, BatchNorm):
            continue
        joined = _JOINED.get(type(module).__name__)
        if joined is None or module.running_mean is None or module.momentum is None:
            raise InputError(
                f"{name}: several processes cannot share the statistics of a {type(module).__name__} like "
                "this one; set runtime.processes to 1, or take another encoder"
            )
        module.__class__ = joined


# by name: timm is not imported for it
_JOINED: dict[str, type[BatchNorm]] = {"BatchNorm2d": BatchNorm, "BatchNormAct2d": BatchNormAct}


def _started() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
