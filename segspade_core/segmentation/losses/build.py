"""From settings to the loss that training makes small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from segspade_core.config.losses import (
    CrossEntropyConfig,
    DiceConfig,
    FocalConfig,
    LossConfig,
    LovaszConfig,
)
from segspade_core.segmentation.class_weights import class_weights
from segspade_core.segmentation.losses.cross_entropy import weighted_cross_entropy
from segspade_core.segmentation.losses.dice import dice_loss
from segspade_core.segmentation.losses.focal import focal_loss
from segspade_core.segmentation.losses.lovasz import lovasz_softmax_loss
from segspade_core.segmentation.losses.ohem import ohem_cross_entropy

LossFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Term:
    """One loss of a sum: its name in the record, its weight, and the function."""

    name: str
    weight: float
    function: LossFunction


@dataclass(frozen=True)
class SegmentationLoss:
    """A weighted sum of losses."""

    terms: tuple[Term, ...]

    def __call__(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The sum as 'loss'; where it has several terms, each under its name too, before its weight.

        Args:
            logits: (B, C, H, W) float.
            targets: (B, H, W) uint8: classes below C, or 255 for void.
        """
        parts = {term.name: term.function(logits, targets) for term in self.terms}
        total = torch.stack([term.weight * parts[term.name] for term in self.terms]).sum()
        return {"loss": total} if len(parts) == 1 else {"loss": total, **parts}


def build_loss(
    losses: Sequence[LossConfig],
    class_counts: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> SegmentationLoss:
    """The sum that `losses` describe.

    Args:
        class_counts: (C,) int64 pixels of each class in the training labels; needed where
            `needs_class_counts` says so.
        device: where logits will be.

    Raises:
        ValueError: a loss weighs classes, and `class_counts` are missing.
    """
    return SegmentationLoss(
        tuple(Term(loss.kind, loss.weight, _function(loss, class_counts, device)) for loss in losses)
    )


def _function(loss: LossConfig, counts: Tensor | None, device: torch.device | str) -> LossFunction:
    if isinstance(loss, DiceConfig):
        return dice_loss
    if isinstance(loss, LovaszConfig):
        return partial(lovasz_softmax_loss, per_image=loss.per_image)
    weights = None
    if loss.class_weights != "none":
        if counts is None:
            raise ValueError(f"loss {loss.kind} weighs classes by their pixels: class_counts are missing")
        weights = class_weights(loss.class_weights, counts, loss.beta).to(device)
    if isinstance(loss, CrossEntropyConfig):
        return partial(weighted_cross_entropy, class_weights=weights, label_smoothing=loss.label_smoothing)
    if isinstance(loss, FocalConfig):
        return partial(focal_loss, gamma=loss.gamma, class_weights=weights)
    return partial(
        ohem_cross_entropy, threshold=loss.threshold, min_share=loss.min_share, class_weights=weights
    )
