"""The two lookups of the sparse training form, with their gradients: by compiled kernels on the CPU.

PyTorch's own index operations write every gathered value, and every gradient of one, to memory of its own;
here what is looked up is used, and its gradient summed, in the same pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from segspade_core.kernels import load_kernels

kernels: Any = load_kernels("segspade_core.spade.patches")


def modulate(x: Tensor, table: Tensor, of_code: Tensor, pixels: Tensor) -> Tensor:
    """x * (1 + gamma) + beta, both summed of the pixel's row of a table and of the sample's code.

    Args:
        x: (B, C, h, w) float32, normalised.
        table: (N, 2C) float32, gamma beside beta.
        of_code: (B, 2C) float32, likewise.
        pixels: (B, h, w) int32 rows of the table.

    Returns:
        (B, C, h, w), laid out channels_last.
    """
    if _compiled_for(x):
        out: Tensor = _Modulate.apply(x, table, of_code, pixels)
        return out
    rows = F.embedding(pixels, table) + of_code[:, None, None]  # (B, h, w, 2C)
    gamma, beta = rows.permute(0, 3, 1, 2).chunk(2, dim=1)
    return torch.addcmul(beta, x, 1 + gamma)


def sum_taps(products: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """bias + the sum over t of products[taps[:, t], t].

    Args:
        products: (M, 9, C) float32.
        taps: (N, 9) int32 below M.
        bias: (C,).

    Returns:
        (N, C).
    """
    if _compiled_for(products):
        out: Tensor = _SumTaps.apply(products, taps, bias)
        return out
    rows = taps * 9 + torch.arange(9, device=taps.device)
    return F.embedding_bag(rows.long(), products.flatten(0, 1), mode="sum") + bias


def _compiled_for(x: Tensor) -> bool:
    return kernels is not None and x.device.type == "cpu" and x.dtype == torch.float32


class _Modulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, of_code: Tensor, pixels: Tensor) -> Tensor:
        rows, pixels = _rows(x), pixels.flatten(1)
        out = torch.empty_like(rows)
        kernels.modulate(rows.numpy(), table.numpy(), of_code.numpy(), pixels.numpy(), out.numpy())
        ctx.save_for_backward(rows, table, of_code, pixels)
        return _image(out, x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        rows, table, of_code, pixels = ctx.saved_tensors
        towards = _rows(grads[0])
        of_x, of_table = torch.empty_like(towards), torch.zeros_like(table)
        kernels.modulate_backward(
            towards.numpy(), rows.numpy(), table.numpy(), of_code.numpy(), pixels.numpy(),
            of_x.numpy(), of_table.numpy(),
        )  # fmt: skip
        in_code = torch.cat([torch.linalg.vecdot(towards, rows, dim=1), towards.sum(1)], dim=1)
        return _image(of_x, grads[0].shape), of_table, in_code, None


class _SumTaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, products: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
        out = products.new_empty(len(taps), products.shape[2])
        kernels.sum_taps(products.contiguous().numpy(), taps.numpy(), bias.numpy(), out.numpy())
        ctx.save_for_backward(taps)
        ctx.shape = products.shape
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, Tensor]:
        (taps,) = ctx.saved_tensors
        towards = grads[0].contiguous()
        of_products = towards.new_zeros(ctx.shape)
        kernels.sum_taps_backward(towards.numpy(), taps.numpy(), of_products.numpy())
        return of_products, None, towards.sum(0)


def _rows(x: Tensor) -> Tensor:
    """(B, C, h, w) → (B, h * w, C), without a copy where the layout is channels_last."""
    return x.detach().permute(0, 2, 3, 1).contiguous().flatten(1, 2)


def _image(rows: Tensor, shape: torch.Size) -> Tensor:
    batch, channels, height, width = shape
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)
