"""Soft Dice loss: the overlap of every class that is there counts alike, however small the class."""

from __future__ import annotations

import torch
from torch import Tensor

from segspade_core.labels import IGNORE_ID
from segspade_core.segmentation.losses.pixels import pixel_rows


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of 1 - 2 sum(p g) / (sum(p^2) + sum(g^2)) over the classes that occur in the targets.

    p are softmax probabilities and g the one-hot targets; sums run over the known pixels of the batch as a
    whole. A class that does not occur is left out: its overlap would be 0 whatever is predicted.

    Args:
        logits: (B, C, H, W) float.
        targets: (B, H, W) uint8: classes below C, or 255 for void.

    Returns:
        A float32 scalar in [0, 1] (float64 for float64 logits); 0 with gradient 0 where nothing counts.

    Source: Milletari et al., "V-Net", 3DV 2016, section 3, there for one foreground class.
    """
    with torch.autocast(logits.device.type, enabled=False):
        rows, ids = pixel_rows(logits, targets)
        known = (ids != IGNORE_ID)[:, None]
        truth = ids[:, None] == torch.arange(rows.shape[1], device=ids.device)  # (N, C) bool
        # masked and not multiplied by 0, so that the sums of void are 0 whatever the logits there
        probs = rows.softmax(1).masked_fill(~known, 0)
        pixels = truth.sum(0)  # (C,)
        there = pixels > 0
        overlap = 2 * (probs * truth).sum(0) / (probs.square().sum(0) + pixels.clamp(min=1))
        losses = torch.where(there, 1 - overlap, 0)
        return losses.sum() / there.sum().clamp(min=1)
