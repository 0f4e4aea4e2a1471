"""Settings of a segmenter and its training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from segspade_core.config.base import Frozen, ImageSize

Weights = Annotated[str, Field(min_length=1, description="'imagenet', 'none', or the path of a weights file")]


class AugmentConfig(Frozen):
    """Random changes made to training samples; probabilities in [0, 1], strengths as fractions."""

    flip: float = Field(0.5, ge=0, le=1, description="probability of a left-right flip")
    crop: ImageSize | None = Field(None, description="random crop; none trains on whole frames")
    scale: tuple[float, float] = Field((1.0, 1.0), description="range of random zoom before the crop")
    brightness: float = Field(0.0, ge=0, lt=1)
    contrast: float = Field(0.0, ge=0, lt=1)
    saturation: float = Field(0.0, ge=0, lt=1)


class SegmenterConfig(Frozen):
    """Settings of one segmenter training run."""

    encoder: Literal["resnet18", "resnet34", "resnet50"] = "resnet34"
    weights: Weights = "imagenet"
    num_classes: int = Field(34, ge=2, le=255, description="label ids 0..33 are predicted by default")
    epochs: int = Field(25, ge=1)
    batch: int = Field(32, ge=1)
    lr: float = Field(1e-4, gt=0, description="Adam's step size at the start")
    lr_schedule: Literal["constant", "poly", "cosine"] = "constant"
    weight_decay: float = Field(0.0, ge=0)
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 trains under autocast")
    augment: AugmentConfig = AugmentConfig()
    seed: int = Field(0, ge=0)
