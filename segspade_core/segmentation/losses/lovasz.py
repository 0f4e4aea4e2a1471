"""Lovász-softmax: 1 - mean IoU, continued from hard choices to probabilities, so that it has a gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from segspade_core.labels import IGNORE_ID
from segspade_core.segmentation.losses.pixels import nothing, pixel_rows


def lovasz_softmax_loss(logits: Tensor, targets: Tensor, per_image: bool = False) -> Tensor:
    """Mean over the classes that occur of the Lovász extension of the Jaccard loss, on softmax probabilities.

    Args:
        logits: (B, C, H, W) float.
        targets: (B, H, W) uint8: classes below C, or 255 for void.
        per_image: the mean over images of each one's loss, in place of the batch as one image; images in
            which all is void are left out.

    Returns:
        A float32 scalar in [0, 1] (float64 for float64 logits); 0 with gradient 0 where nothing counts.

    Source: Berman et al., "The Lovász-Softmax Loss", CVPR 2018, algorithm 1; 'classes present'.
    """
    with torch.autocast(logits.device.type, enabled=False):
        rows, ids = pixel_rows(logits, targets)
        images = len(logits) if per_image else 1
        losses = []
        for part, labels in zip(rows.chunk(images), ids.chunk(images), strict=True):
            losses += _mean_over_classes(part, labels)
        return torch.stack(losses).mean() if losses else nothing(rows)


def _mean_over_classes(rows: Tensor, ids: Tensor) -> list[Tensor]:
    """(N, C) logits and (N,) int64 ids → one scalar, or none where all is void."""
    known = ids != IGNORE_ID
    rows, ids = rows[known], ids[known]
    if not len(ids):
        return []
    probs = rows.softmax(1)
    classes = [_jaccard_extension(probs[:, label], ids == label) for label in ids.unique().tolist()]
    return [torch.stack(classes).mean()]


def _jaccard_extension(probs: Tensor, truth: Tensor) -> Tensor:
    """Errors, largest first, each times what it adds to the Jaccard loss if all before it are wrong too.

    Args:
        probs: (N,) probability of the class.
        truth: (N,) bool, somewhere true.
    """
    # stable: equal errors have one order, so that a run can be done again
    errors, order = torch.sort((truth.to(probs) - probs).abs(), descending=True, stable=True)
    truth = truth[order]
    pixels = truth.sum()
    intersection = pixels - truth.cumsum(0)
    union = pixels + (~truth).cumsum(0)
    # the difference of two Jaccard losses in a row, solved: subtracted, they would agree in all digits that
    # float32 has. A missed pixel takes one from the intersection, a false one adds one to the union
    intersection, union = intersection.to(probs), union.to(probs)
    steps = torch.where(truth, 1 / union, intersection / union / (union - 1).clamp(min=1))
    return errors @ steps
