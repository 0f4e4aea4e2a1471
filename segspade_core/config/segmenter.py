"""Settings of a segmenter and its training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from segspade_core.config.base import Frozen, ImageSize
from segspade_core.config.encoders import check_encoder

Head = Literal["fcn32", "unet", "deeplabv3plus", "segformer", "fpn", "upernet"]
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

    encoder: Annotated[str, AfterValidator(check_encoder)] = Field(
        "resnet34",
        description="a name that segmentation-models-pytorch knows, 'tu-' and one of timm's, or "
        "'efficientnet-lite0', whose ImageNet weights install from the index",
        examples=["resnet34", "mit_b0", "tu-convnext_tiny", "efficientnet-lite0"],
    )
    # left out of what is stored while it is the first one: keys stay those from before there was a choice
    head: Head = Field(
        "fcn32",
        exclude_if=lambda head: head == "fcn32",
        description="what makes label maps of the encoder's features",
    )
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
