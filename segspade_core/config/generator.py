"""Settings of a generator, of what judges it in training, and of the training or import of one."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from segspade_core.config.base import BY_KIND, Frozen, ImageSize


class GeneratorArchitecture(Frozen):
    """Shape of a SPADE generator; the defaults are the published Cityscapes network at 256x512."""

    num_labels: int = Field(35, ge=2, le=255, description="one-hot label channels")
    instance_edges: bool = Field(True, description="one more channel: edges between instances")
    width: int = Field(64, ge=1, description="channels of the last block; each before it has twice as many")
    max_channels: int = Field(1024, ge=1, description="no block is wider than this")
    hidden: int = Field(128, ge=1, description="channels of the shared convolution in each SPADE")
    upsamplings: int = Field(6, ge=1, le=8, description="the head works at size / 2**upsamplings")
    style_dim: int = Field(0, ge=0, le=4096, description="numbers of a photograph's style; 0: no style")
    style_width: int = Field(64, ge=1, description="channels of the style encoder's first layer")
    cities: tuple[str, ...] = Field((), description="known to the network; training fills them in")
    times_of_day: tuple[str, ...] = Field((), description="known to the network; training fills them in")
    condition_dim: int = Field(16, ge=1, description="numbers that stand for one city or time of day")
    linear_head: tuple[PositiveInt, PositiveInt] | None = Field(
        None,
        description="height x width that `fc`, a linear layer then, makes of the style code alone (the "
        "published variant with a style encoder); it paints at this size * 2**upsamplings and no other",
    )

    @model_validator(mode="after")
    def _has_a_start(self) -> Self:
        if self.linear_head is not None and not self.style_dim:
            raise ValueError("linear_head starts from the style code: style_dim must be 1 or more")
        return self


class PatchArchitecture(Frozen):
    """The paper's discriminator: patches of photograph and label map together, at several scales."""

    kind: Literal["patch"] = "patch"
    width: int = Field(64, ge=1)
    scales: int = Field(2, ge=1, le=4)
    layers: int = Field(4, ge=2, le=6, description="convolutions with stride before the last two")


class UNetArchitecture(Frozen):
    """A discriminator that labels every pixel, with one more class for painted ones."""

    kind: Literal["unet"] = "unet"
    width: int = Field(64, ge=1, description="channels of the first block")
    max_channels: int = Field(512, ge=1)
    depth: int = Field(6, ge=2, le=8, description="halvings of the picture")


class EncoderArchitecture(Frozen):
    """The same on a frozen encoder that was trained on ImageNet."""

    kind: Literal["encoder"] = "encoder"
    weights: str = Field(
        "efficientnet-lite0", min_length=1, description="'efficientnet-lite0' of segspade[offline-weights]"
    )
    width: int = Field(64, ge=1, description="channels of the decoder")


def _patches_unless_said(value: Any) -> Any:
    return {"kind": "patch", **value} if isinstance(value, dict) else value


DiscriminatorArchitecture = Annotated[
    PatchArchitecture | UNetArchitecture | EncoderArchitecture,
    BY_KIND,
    BeforeValidator(_patches_unless_said),
]


class LossWeights(Frozen):
    """Weights of the loss terms; a term that a recipe does not have is left out whatever its weight."""

    adversarial: float = Field(1.0, ge=0)
    feature_matching: float = Field(10.0, ge=0)
    perceptual: float = Field(10.0, ge=0, description="difference of VGG-19 features; see perceptual_weights")
    reconstruction: float = Field(0.0, ge=0, description="mean absolute difference to the photograph")
    kl: float = Field(0.05, ge=0, description="of the style code; with a style encoder only")
    labelmix: float = Field(10.0, ge=0, description="consistency of discriminators that label pixels")


class GeneratorConfig(Frozen):
    """Settings of one generator training run (Park et al., CVPR 2019, appendix A)."""

    kind: Literal["train"] = "train"
    generator: GeneratorArchitecture = GeneratorArchitecture()
    discriminator: DiscriminatorArchitecture = PatchArchitecture()
    losses: LossWeights = LossWeights()
    perceptual_weights: str = Field(
        "auto",
        min_length=1,
        description="VGG-19: 'imagenet' of torchvision, 'none', a file, or 'auto': imagenet if it can be had",
    )
    conditions: tuple[Literal["city", "time_of_day"], ...] = Field(
        (), description="columns of the dataset that painting will be steered by"
    )
    style_dropout: float = Field(
        0.0, ge=0, le=1, description="share of samples painted in a random style, so that conditions count"
    )
    epochs: int = Field(200, ge=1)
    decay_from_epoch: int | None = Field(
        None, ge=0, description="learning rates fall linearly to 0 from here; none: from half way"
    )
    batch: int = Field(4, ge=1)
    lr_generator: float = Field(1e-4, gt=0)
    lr_discriminator: float = Field(4e-4, gt=0)
    betas: tuple[float, float] = (0.0, 0.999)
    ema_decay: float = Field(0.999, ge=0, lt=1, description="of the weights that are published")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a left-right flip")
    crop: ImageSize | None = Field(None, description="random crop; none trains on whole frames")
    diff_augment: tuple[Literal["colour", "translation", "cutout"], ...] = Field(
        (), description="differentiable augmentation of all that the discriminator sees, for small datasets"
    )
    modulation: Literal["sparse", "dense"] = Field(
        "sparse", description="the same gradients up to rounding; sparse computes each label patch once"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 trains under autocast")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _names_come_from_the_data(self) -> Self:
        if self.generator.cities or self.generator.times_of_day:
            raise ValueError(
                "generator.cities and generator.times_of_day are filled in from the dataset: leave them out, "
                "and say `conditions: [city, time_of_day]`"
            )
        return self


class GeneratorImportConfig(Frozen):
    """A generator trained elsewhere: the shipped one, or a file of weights.

    The shape of the network is read from the file. Files of others leave three things open, which are taken
    to be as published where the published networks tell; the fields below say otherwise.
    """

    kind: Literal["import"] = "import"
    weights: str = Field(
        "shipped:minicity", min_length=1, description="'shipped:minicity' or a path of safetensors or .pth"
    )
    instance_edges: bool | None = Field(
        None, description="whether the last input channel is instance edges and no label"
    )
    upsamplings: int | None = Field(
        None, ge=1, le=8, description="5 or 6 with four up blocks ('normal' and 'more' of the published code)"
    )
    linear_head: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="height x width of the head in the variant with a style encoder, such as [4, 8]"
    )
    generator: GeneratorArchitecture | None = Field(
        None, description="shape of the network as a whole, instead of what the file tells"
    )

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        single = ("instance_edges", "upsamplings", "linear_head")
        twice = [name for name in single if getattr(self, name) is not None]
        if self.generator is not None and twice:
            raise ValueError(f"{twice[0]} is part of generator.{twice[0]} already: give one of them")
        return self
