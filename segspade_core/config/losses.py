"""Settings of what a segmenter's mistakes cost: one loss, or a weighted sum of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from segspade_core.config.base import BY_KIND, Frozen

ClassWeighting = Literal["none", "inverse_frequency", "effective_number"]


class _Term(Frozen):
    """What every loss has."""

    weight: float = Field(1.0, gt=0, title="Weight", description="of this loss in the sum", examples=[0.5])


class _PixelTerm(_Term):
    """What losses have that are a mean over pixels."""

    class_weights: ClassWeighting = Field(
        "none",
        title="Class weights",
        description="from the pixels of each class in the training labels: all alike, one over the pixels, "
        "or one over the effective number of pixels",
    )
    beta: float = Field(
        1 - 1e-6,
        ge=0,
        lt=1,
        title="Beta",
        description="of effective_number: 1 - 1/n counts more than n pixels of a class as about n",
    )


class CrossEntropyConfig(_PixelTerm):
    """Cross-entropy: minus the logarithm of the true class's probability."""

    kind: Literal["cross_entropy"] = Field("cross_entropy", title="Loss")
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        title="Label smoothing",
        description="share of each target that is spread over all classes",
        examples=[0.1],
    )


class FocalConfig(_PixelTerm):
    """Cross-entropy in which pixels that are right already count little."""

    kind: Literal["focal"] = Field("focal", title="Loss")
    gamma: float = Field(
        2.0,
        ge=0,
        le=10,
        title="Gamma",
        description="how little: power of 1 - probability; 0 is cross-entropy",
    )


class OhemConfig(_PixelTerm):
    """Cross-entropy of the hardest pixels of a batch alone (online hard example mining)."""

    kind: Literal["ohem"] = Field("ohem", title="Loss")
    threshold: float = Field(
        0.7,
        gt=0,
        lt=1,
        title="Hard below",
        description="probability of the true class; a pixel below it counts",
    )
    min_share: float = Field(
        0.1, gt=0, le=1, title="Smallest share", description="of the pixels that count, hard or not"
    )


class DiceConfig(_Term):
    """One minus the soft overlap (Dice) of each class that is there: small classes weigh as much as large."""

    kind: Literal["dice"] = Field("dice", title="Loss")


class LovaszConfig(_Term):
    """A surrogate of one minus the mean IoU of the classes that are there (Lovász-softmax)."""

    kind: Literal["lovasz"] = Field("lovasz", title="Loss")
    per_image: bool = Field(
        False, title="Per image", description="IoU of each image, averaged, in place of the whole batch's"
    )


LossConfig = Annotated[CrossEntropyConfig | FocalConfig | OhemConfig | DiceConfig | LovaszConfig, BY_KIND]


def _each_once(losses: tuple[LossConfig, ...]) -> tuple[LossConfig, ...]:
    kinds = [loss.kind for loss in losses]
    twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
    if twice:
        raise ValueError(f"loss {twice[0]} is named twice: give it once, with the sum of the weights")
    return losses


Losses = Annotated[
    tuple[LossConfig, ...],
    Field(min_length=1, title="Losses", description="their weighted sum is what training makes small"),
    AfterValidator(_each_once),
]

PLAIN_CROSS_ENTROPY: tuple[LossConfig, ...] = (CrossEntropyConfig(),)


def is_plain_cross_entropy(losses: Sequence[LossConfig]) -> bool:
    """Whether the sum is the mean cross-entropy over known pixels, which has a faster way.

    `upsampled_cross_entropy` computes that one, and nothing else, without the logits of a whole batch.
    """
    loss = losses[0]
    return (
        len(losses) == 1
        and isinstance(loss, CrossEntropyConfig)
        and loss.weight == 1
        and loss.class_weights == "none"
        and not loss.label_smoothing
    )
