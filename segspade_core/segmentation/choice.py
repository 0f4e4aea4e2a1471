"""Which class a pixel is given, of the scores of all, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from segspade_core.kernels import load_kernels
from segspade_core.segmentation.label_space import LabelSpace, bars, ids_of
from segspade_core.team import Team


@torch.inference_mode()
def choose_classes(scores: Tensor, space: LabelSpace = "ids", untaught: Sequence[int] = ()) -> Tensor:
    """(B, C, H, W) logits or probs → (B, H, W) uint8: the best class that is neither void nor untaught.

    It may overwrite the scores of the classes that are. On the CPU a compiled kernel takes a third of the
    time of PyTorch's own operations (benchmarks/segmenter_head.py).
    """
    added = bars(scores.shape[1], space, untaught)
    kernels = None
    if scores.device.type == "cpu" and scores.dtype == torch.float32:
        kernels = load_kernels("segspade_core.segmentation")
    if kernels is None:
        scores += added.to(scores)[:, None, None]
        # max is faster than argmax on a CPU
        return scores.max(1).indices.to(torch.uint8)
    chosen = scores.new_empty(len(scores), *scores.shape[2:], dtype=torch.uint8)
    team = Team()
    for image, out in zip(scores.detach().permute(0, 2, 3, 1), chosen, strict=True):
        team.run(kernels.choose, len(out), image, added, out)
    return chosen


def choose(scores: Tensor, space: LabelSpace = "ids", untaught: Sequence[int] = ()) -> Tensor:
    """As `choose_classes`, and as label ids."""
    return ids_of(choose_classes(scores, space, untaught), space)


@torch.inference_mode()
def confidence_of(
    scores: Tensor, are_logits: bool, space: LabelSpace = "ids", untaught: Sequence[int] = ()
) -> Tensor:
    """How sure the choice is: its probability among the classes that can be chosen. Overwrites the scores.

    Args:
        scores: (B, C, H, W) logits or probs.
        are_logits: or probs.

    Returns:
        (B, H, W) uint8: 255 times that probability, rounded.
    """
    scores += bars(scores.shape[1], space, untaught).to(scores)[:, None, None]
    if are_logits:
        # the softmax at the best class alone: 1 / sum of exp(x - best)
        probability = scores.sub_(scores.amax(1, keepdim=True)).exp_().sum(1).reciprocal_()
    else:
        probs = scores.clamp_min(0)
        probability = probs.amax(1) / probs.sum(1)
    return probability.mul_(255).round_().to(torch.uint8)
