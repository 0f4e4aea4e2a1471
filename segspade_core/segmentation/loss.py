"""Cross-entropy over label ids in which void does not count."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from segspade_core.labels import IGNORE_ID
from segspade_core.segmentation.model import BilinearUpsampling, pad_to_stride

# bytes of logits that are there at a time: large enough for the matrix products, and below the size from
# which the C library gives memory back to the system after every use
_CHUNK_BYTES = {"cpu": 16 << 20, "cuda": 1 << 30}


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log softmax(logits)[target] over the pixels that are not void; 0 where there is none.

    Args:
        logits: (B, C, H, W) float32.
        targets: (B, H, W) uint8: classes below C, or 255 for void.
    """
    # rows of pixels: the library's 2-d loss is slower on logits that lie channels last
    rows = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    total = F.cross_entropy(rows, targets.reshape(-1).long(), ignore_index=IGNORE_ID, reduction="sum")
    return total / (targets != IGNORE_ID).sum().clamp(min=1)


def upsampled_cross_entropy(upsample: BilinearUpsampling, scores: Tensor, targets: Tensor) -> Tensor:
    """`cross_entropy(upsample(scores), targets)`, without ever having the logits of a whole batch.

    At 34 classes the logits and what autograd keeps of them are the bulk of a step's memory, and a large part
    of its time on a CPU (benchmarks/segmenter_head.py). Here they are made a few cells at a time, turned into
    their own gradient in place, and multiplied back at once. The targets, one byte a pixel, are brought into
    the order of the cells in place of the logits into that of the image.

    Args:
        scores: (B, C, h, w) float.
        targets: (B, H, W) uint8: classes below C, or 255 for void; H and W may be up to a stride short of
            h * stride and w * stride, as after `pad_to_stride`.

    Source: the gradient of cross-entropy, softmax - one-hot (Bishop, "Pattern Recognition and Machine
    Learning", 2006, equation 4.109).
    """
    targets = pad_to_stride(targets, fill=IGNORE_ID)
    with torch.autocast(scores.device.type, enabled=False):
        cells = upsample.cells(scores.float())  # (B * cells, C * 4)
        loss: Tensor = _CellLoss.apply(cells, upsample.taps(), upsample.to_cells(targets))
    return loss


class _CellLoss(torch.autograd.Function):
    """Mean loss of the pixels of all cells, with both gradients computed beside it."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, taps: Tensor, targets: Tensor) -> Tensor:
        """(N, C * 4), (C * 4, P * C) and (N, P) uint8 → scalar; P pixels a cell."""
        known = targets != IGNORE_ID
        count = known.sum().clamp(min=1)
        channels = len(taps) // 4
        towards_cells, towards_taps = torch.empty_like(cells), torch.zeros_like(taps)
        total = torch.zeros((), dtype=torch.float64, device=cells.device)
        rows = max(1, _CHUNK_BYTES.get(cells.device.type, 64 << 20) // (4 * taps.shape[1]))
        for start in range(0, len(cells), rows):
            part = slice(start, start + rows)
            logits = (cells[part] @ taps).view(-1, channels)
            here = known[part].reshape(-1, 1)
            chosen = targets[part].reshape(-1, 1).long().masked_fill_(~here, 0)
            log_probs = torch.log_softmax(logits, 1)
            total -= (log_probs.gather(1, chosen) * here).sum(dtype=torch.float64)
            # softmax - one-hot, and nothing from void
            gradient = log_probs.exp_()
            gradient.scatter_add_(1, chosen, gradient.new_full((1, 1), -1.0).expand_as(chosen))
            gradient = gradient.mul_(here / count).view(-1, taps.shape[1])
            torch.mm(gradient, taps.T, out=towards_cells[part])
            towards_taps.addmm_(cells[part].T, gradient)
        ctx.save_for_backward(towards_cells, towards_taps)
        return (total / count).float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, towards: Tensor) -> tuple[Tensor, Tensor, None]:
        """The gradients that `forward` kept, times that of the loss."""
        towards_cells, towards_taps = ctx.saved_tensors
        return towards_cells * towards, towards_taps * towards, None
