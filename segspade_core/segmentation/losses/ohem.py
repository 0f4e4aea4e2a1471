"""Cross-entropy of hard pixels: online hard example mining."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from segspade_core.labels import IGNORE_ID
from segspade_core.segmentation.losses.cross_entropy import weights_of
from segspade_core.segmentation.losses.pixels import nothing, pixel_rows


def ohem_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    threshold: float = 0.7,
    min_share: float = 0.1,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy of the pixels whose true class has a probability below `threshold`.

    Where these are fewer than `min_share` of the known pixels, the hardest so many are taken. Class weights
    weigh the pixels that were chosen and have no say in the choice.

    Args:
        logits: (B, C, H, W) float.
        targets: (B, H, W) uint8: classes below C, or 255 for void.
        threshold: in (0, 1); for all pixels, say min_share 1.
        min_share: of the known pixels of the batch, rounded up, in (0, 1].
        class_weights: (C,) float, at least 0; None: all 1.

    Returns:
        A float32 scalar (float64 for float64 logits); 0 with gradient 0 where nothing counts.

    Source: Shrivastava et al., "Training Region-based Object Detectors with Online Hard Example Mining", CVPR
    2016, section 4, for regions; for pixels, with a threshold and a least number, Wu et al., "Bridging
    Category-level and Instance-level Semantic Image Segmentation", arXiv 1605.06885, 'online bootstrapping'.
    """
    with torch.autocast(logits.device.type, enabled=False):
        rows, ids = pixel_rows(logits, targets)
        known = ids != IGNORE_ID
        rows, ids = rows[known], ids[known]
        if not len(ids):
            return nothing(rows)
        losses = F.cross_entropy(rows, ids, reduction="none")
        hard = int((losses.detach().neg().exp() < threshold).sum())
        kept = losses.topk(max(hard, math.ceil(min_share * len(ids))), sorted=False)
        weights = weights_of(ids[kept.indices], None if class_weights is None else class_weights.to(rows))
        return (kept.values * weights).sum() / torch.where(weights.any(), weights.sum(), 1)
