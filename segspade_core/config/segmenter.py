"""Settings of a segmenter and its training."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from segspade_core.config.base import Frozen, ImageSize
from segspade_core.config.encoders import check_encoder
from segspade_core.config.losses import PLAIN_CROSS_ENTROPY, Losses
from segspade_core.config.optimisation import (
    AdamConfig,
    AveragingConfig,
    ConstantSchedule,
    EarlyStoppingConfig,
    OptimiserConfig,
    ScheduleConfig,
)
from segspade_core.labels import NUM_TRAIN_IDS

Head = Literal["fcn32", "unet", "deeplabv3plus", "segformer", "fpn", "upernet"]
Weights = Annotated[str, Field(min_length=1, description="'imagenet', 'none', or the path of a weights file")]

# where settings went that were single numbers once
_MOVED = {
    "lr": "segmenter.lr is now segmenter.optimiser.lr",
    "lr_schedule": "segmenter.lr_schedule is now segmenter.schedule.kind",
    "weight_decay": "segmenter.weight_decay is now segmenter.optimiser.weight_decay, which decays as before "
    "with segmenter.optimiser.kind adamw",
}


Zoom = Annotated[float, Field(ge=0.1, le=10)]


def _check_range(scale: tuple[float, float]) -> tuple[float, float]:
    if scale[0] > scale[1]:
        raise ValueError(f"a range is [least, most]: [{scale[1]:g}, {scale[0]:g}]")
    return scale


class AugmentConfig(Frozen):
    """Random changes made to training samples; probabilities in [0, 1], strengths as fractions."""

    flip: float = Field(0.5, ge=0, le=1, description="probability of a left-right flip")
    crop: ImageSize | None = Field(
        None,
        description="random crop; none trains on whole frames. What reaches out of a frame is void, as where "
        "a zoom makes the frame smaller than the crop",
    )
    scale: Annotated[tuple[Zoom, Zoom], AfterValidator(_check_range)] = Field(
        (1.0, 1.0), description="range of random zoom before the crop"
    )
    brightness: float = Field(0.0, ge=0, lt=1)
    contrast: float = Field(0.0, ge=0, lt=1)
    saturation: float = Field(0.0, ge=0, lt=1)

    def fault_of_crop(self, size: tuple[int, int]) -> str | None:
        """Why the crop does not suit frames of `size`, (H, W): at no zoom is one as large. None: it does."""
        zoom = self.scale[1]
        if self.crop is None or all(crop <= zoom * side for crop, side in zip(self.crop, size, strict=True)):
            return None
        zoomed = f" at the largest zoom, {zoom:g}" if zoom != 1 else ""
        return (
            f"augment.crop {self.crop[0]}x{self.crop[1]} is larger than the photographs, {size[0]}x{size[1]}"
            f"{zoomed}: every sample would have a rim of nothing; make it smaller, or leave it out for whole "
            "frames"
        )


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
    label_space: Literal["ids", "train_ids"] = Field(
        "ids",
        exclude_if=lambda space: space == "ids",
        title="Label space",
        description="what is told apart: all label ids, or the 19 classes of the official score (train ids), "
        "for which num_classes is 19; predictions are label ids either way",
    )
    epochs: int = Field(25, ge=1)
    batch: int = Field(32, ge=1)
    accumulate: int = Field(
        1,
        ge=1,
        exclude_if=lambda batches: batches == 1,
        title="Accumulate",
        description="batches an update, one after another in memory: as a batch so many times as large, but "
        "for batch norm",
        examples=[4],
    )
    loss: Losses = PLAIN_CROSS_ENTROPY
    optimiser: OptimiserConfig = Field(
        AdamConfig(), title="Optimiser", description="how weights follow their gradient"
    )
    schedule: ScheduleConfig = Field(
        ConstantSchedule(), title="Schedule", description="of the learning rate over all steps"
    )
    average: AveragingConfig | None = Field(
        None,
        title="Average",
        description="of the weights, scored and published in their place; none: the last",
    )
    early_stopping: EarlyStoppingConfig | None = Field(
        None, title="Early stopping", description="ends a training that gains nothing more; none: never"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 trains under autocast")
    compile: bool = Field(
        False,
        exclude_if=lambda compiled: not compiled,
        title="Compile",
        description="the network for this machine, by torch.compile: faster steps after minutes at the start "
        "and other rounding, so that it counts as another training",
    )
    augment: AugmentConfig = AugmentConfig()
    seed: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _say_where_settings_went(cls, value: Any) -> Any:
        moved = [where for name, where in _MOVED.items() if isinstance(value, dict) and name in value]
        if moved:
            raise ValueError("; ".join(moved))
        return value

    @model_validator(mode="before")
    @classmethod
    def _classes_follow_label_space(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("label_space") == "train_ids":
            return {"num_classes": NUM_TRAIN_IDS, **value}
        return value

    @model_validator(mode="after")
    def _encoder_learns(self) -> Self:
        frozen = self.optimiser.frozen_encoder_epochs
        if frozen >= self.epochs:
            raise ValueError(
                f"segmenter.optimiser.frozen_encoder_epochs {frozen}: in {self.epochs} epochs the encoder "
                "would never learn; take fewer, or more epochs"
            )
        return self

    @model_validator(mode="after")
    def _label_space_has_its_classes(self) -> Self:
        if self.label_space == "train_ids" and self.num_classes != NUM_TRAIN_IDS:
            raise ValueError(
                f"segmenter.num_classes {self.num_classes}: with label_space train_ids there are "
                f"{NUM_TRAIN_IDS}; leave it out, or set label_space to ids"
            )
        return self
