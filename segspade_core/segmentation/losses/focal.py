"""Focal loss: what is right already counts little."""

from __future__ import annotations

import torch
from torch import Tensor

from segspade_core.labels import IGNORE_ID
from segspade_core.segmentation.losses.cross_entropy import weights_of
from segspade_core.segmentation.losses.pixels import pixel_rows


def focal_loss(
    logits: Tensor, targets: Tensor, gamma: float = 2.0, class_weights: Tensor | None = None
) -> Tensor:
    """Mean of -(1 - p)^gamma log p over known pixels, weighted by class; p is the true class's probability.

    The paper's alpha are the class weights; it divides by the number of objects found, which pixels do not
    have: here by the sum of the pixels' weights, so that gamma 0 is cross-entropy. Its sigmoid is the softmax
    of C classes.

    Args:
        logits: (B, C, H, W) float.
        targets: (B, H, W) uint8: classes below C, or 255 for void.
        gamma: at least 0.
        class_weights: (C,) float, at least 0; None: all 1.

    Returns:
        A float32 scalar (float64 for float64 logits); 0 with gradient 0 where nothing counts.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5.
    """
    with torch.autocast(logits.device.type, enabled=False):
        rows, ids = pixel_rows(logits, targets)
        weights = weights_of(ids, None if class_weights is None else class_weights.to(rows)).to(rows)
        chosen = ids.masked_fill(ids == IGNORE_ID, 0)[:, None]
        log_p = rows.log_softmax(1).gather(1, chosen).squeeze(1)  # (N,)
        # not 1 - exp: that is 0 for a p that is merely close to 1. The floor: below gamma 1 the slope of the
        # power is infinite at 0, and infinity times log 1 is no number
        wrong = (-torch.expm1(log_p)).clamp(min=torch.finfo(rows.dtype).tiny)
        losses = -(wrong**gamma) * log_p
        return (losses * weights).sum() / torch.where(weights.any(), weights.sum(), 1)
