"""Several looks at the same image, mirrored and at other scales, and the mean of what they say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segspade_core.segmentation.model import Segmenter


@torch.inference_mode()
def averaged_probs(model: Segmenter, images: Tensor, scales: Sequence[float], flip: bool) -> Tensor:
    """The mean of the softmax over looks at every scale, and with `flip` mirrored left to right too.

    Probabilities are averaged and not logits: one look that is sure of nonsense cannot outvote all others.

    Args:
        images: (B, 3, H, W) float32 in [0, 1].
        scales: factors on both sides; bilinear with antialiasing, there and back.

    Returns:
        (B, C, H, W) float32 in [0, 1], which sum to one over C.
    """
    height, width = images.shape[-2:]
    total: Tensor | None = None
    for scale in scales:
        seen = _resize(images, max(1, round(height * scale)), max(1, round(width * scale)))
        for mirrored in (False, True) if flip else (False,):
            logits = model(seen.flip(-1) if mirrored else seen)
            probs = _resize((logits.flip(-1) if mirrored else logits).softmax(1), height, width)
            total = probs if total is None else total.add_(probs)
    assert total is not None, "no scales"
    return total.div_(len(scales) * (2 if flip else 1))


def _resize(x: Tensor, height: int, width: int) -> Tensor:
    if x.shape[-2:] == (height, width):
        return x
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=False, antialias=True)
