"""Cross-entropy with class weights and label smoothing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segspade_core.labels import IGNORE_ID
from segspade_core.segmentation.losses.pixels import pixel_rows


def weighted_cross_entropy(
    logits: Tensor, targets: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Mean of -log softmax(logits)[target] over the pixels that count, weighted by their classes.

    The weighted sum is divided by the sum of the pixels' weights, as `F.cross_entropy` does. A pixel whose
    class weighs 0 counts as void, also in the smoothed part (there the library counts it).

    Args:
        logits: (B, C, H, W) float.
        targets: (B, H, W) uint8: classes below C, or 255 for void.
        class_weights: (C,) float, at least 0; None: all 1.
        label_smoothing: share in [0, 1) of each target that is spread over all classes, each by its weight.

    Returns:
        A float32 scalar (float64 for float64 logits); 0 with gradient 0 where nothing counts.

    Source: smoothing of Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7.
    """
    with torch.autocast(logits.device.type, enabled=False):
        rows, ids = pixel_rows(logits, targets)
        if class_weights is None:
            total = (ids != IGNORE_ID).sum().clamp(min=1)
        else:
            class_weights = class_weights.to(rows)
            weights = weights_of(ids, class_weights)
            ids = ids.masked_fill(weights == 0, IGNORE_ID)
            total = torch.where(weights.any(), weights.sum(), 1)
        loss = F.cross_entropy(
            rows, ids, class_weights, ignore_index=IGNORE_ID, reduction="sum", label_smoothing=label_smoothing
        )
        return loss / total


def weights_of(ids: Tensor, class_weights: Tensor | None) -> Tensor:
    """(N,) int64 ids → (N,) float: the weight of each one's class, and 0 for void."""
    known = ids != IGNORE_ID
    if class_weights is None:
        return known.float()
    return class_weights[ids.masked_fill(~known, 0)] * known
