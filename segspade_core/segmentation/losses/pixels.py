"""Logits and targets as rows of pixels, which every loss starts from."""

from __future__ import annotations

import torch
from torch import Tensor


def in_float32(logits: Tensor) -> Tensor:
    """bfloat16 and float16 → float32: a sum over a million pixels has no place in eight bits.

    float64 stays, so that gradients can be checked.
    """
    return logits if logits.dtype == torch.float64 else logits.float()


def pixel_rows(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) and (B, H, W) uint8 → (N, C) float and (N,) int64, where N = B * H * W.

    Raises:
        ValueError: the shapes do not belong together.
    """
    if logits.dim() != 4 or targets.shape != (len(logits), *logits.shape[2:]):
        raise ValueError(
            f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)} are not (B, C, H, W), (B, H, W)"
        )
    # logits that lie channels last, as the segmenter's do, become rows without a copy
    rows = in_float32(logits).permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    return rows, targets.reshape(-1).long()


def nothing(rows: Tensor) -> Tensor:
    """A scalar 0 whose gradient is 0 everywhere, also where `rows` hold what is not finite."""
    return rows[:0].sum()
