"""Every setting of every stage: frozen, closed pydantic models.

A stage's model enters its artifact key, so two runs that differ in one field make two artifacts. What must
not change a result (device, number of workers, how often to checkpoint) lives in `RuntimeConfig` alone and
never enters a key. `RunConfig` is one YAML file under `configs/`: one whole journey.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PositiveInt,
    model_validator,
)

Split = Literal["train", "val", "test"]
Layout = Literal["cityscapes", "camvid", "minicity"]


class Frozen(BaseModel):
    """A config: never changed once built, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _parse_size(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*", value)
        if match is None:
            raise ValueError(f"size '{value}' is not HEIGHTxWIDTH, such as 256x512")
        value = (int(match[1]), int(match[2]))
    if isinstance(value, (tuple, list)) and len(value) == 2 and not all(8 <= side <= 16384 for side in value):
        raise ValueError(f"size {value[0]}x{value[1]}: each side must lie between 8 and 16384 pixels")
    return value


ImageSize = Annotated[
    tuple[int, int],
    BeforeValidator(_parse_size, json_schema_input_type=str),
    PlainSerializer(lambda size: f"{size[0]}x{size[1]}", return_type=str),
    Field(description="height x width in pixels, such as 256x512"),
]


class MinicityConfig(Frozen):
    """Settings of a drawn city; same settings, same bytes."""

    train: int = Field(160, ge=0, le=1_000_000, description="frames of the train split")
    val: int = Field(32, ge=0, le=1_000_000, description="frames of the val split")
    size: ImageSize = (256, 512)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if self.train + self.val == 0:
            raise ValueError("a Minicity of no frames: ask for at least one with train or val")
        if min(self.size) < 32:
            raise ValueError(f"Minicity is drawn at 32x32 or larger, not {self.size[0]}x{self.size[1]}")
        return self


class IngestConfig(Frozen):
    """Settings of one ingest: which layout to read, and the size everything is stored at."""

    layout: Layout
    size: ImageSize
    splits: tuple[Split, ...] = Field(("train", "val"), min_length=1)
    annotation: Literal["fine", "coarse"] = Field(
        "fine", description="Cityscapes: gtFine, or gtCoarse with train_extra added to train"
    )
    skip_bad: bool = Field(False, description="ingest the rest of a source with problems, and record them")


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


class GeneratorArchitecture(Frozen):
    """Shape of a SPADE generator; the defaults are the published Cityscapes network at 256x512."""

    num_labels: int = Field(35, ge=2, le=255, description="one-hot label channels")
    instance_edges: bool = Field(True, description="one more channel: edges between instances")
    width: int = Field(64, ge=1, description="channels of the last block; the first has 16 times as many")
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
    Field(discriminator="kind"),
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


Limit = Annotated[int | None, Field(ge=1, description="only the first so many samples of the split")]


class SegmentConfig(Frozen):
    """Settings of one batch segmentation."""

    split: Split
    limit: Limit = None


class PaintConfig(Frozen):
    """How maps are painted."""

    style: str = Field(
        "mean",
        pattern=r"^(mean|sample:\d{1,9}|image:.+)$",
        description="'mean', 'sample:<seed>', or 'image:<id>': the style of a photograph of the dataset",
    )
    city: str | None = Field(None, description="none: each frame's own, where the generator knows it")
    time_of_day: str | None = Field(None, description="none: each frame's own, where the generator knows it")
    method: Literal["fast", "dense"] = Field(
        "fast", description="the same picture up to rounding; dense is the published network as it stands"
    )
    precision: Literal["fp32", "bf16"] = "fp32"


class SynthesizeConfig(PaintConfig):
    """Settings of one batch synthesis; whether the maps are true or predicted is told by the input."""

    split: Split
    limit: Limit = None


class QualityConfig(Frozen):
    """How the quality of painted images is measured against photographs."""

    inception: str = Field(
        "auto",
        min_length=1,
        description="weights of the Inception network that FID and KID look through: 'none', a file, or "
        "'auto': torch hub's cache, else a download (91 MB), else none",
    )
    lpips: str = Field(
        "auto",
        min_length=1,
        description="torchvision's AlexNet, which LPIPS looks through: 'none', a file, or 'auto': torch "
        "hub's cache, else none (233 MB are not fetched unasked)",
    )
    kid_subsets: int = Field(100, ge=1, description="random subsets that KID is the mean of")
    kid_subset_size: int = Field(1000, ge=2, description="images in each; all of them where there are fewer")
    kid_seed: int = Field(2020, ge=0, le=2**32 - 1, description="draws the subsets")


class ScoreConfig(Frozen):
    """Settings of the scores."""

    splits: tuple[Split, ...] = Field(("train", "val"), min_length=1)
    boundary_tolerance: float = Field(
        0.0075, gt=0, lt=1, description="a boundary counts as found within this fraction of the diagonal"
    )
    quality: QualityConfig = QualityConfig()


class ReportConfig(Frozen):
    """Settings of the report."""

    title: str = "SegSPADE"
    samples: int = Field(4, ge=1, le=64, description="frames shown of each split")


class MinicitySource(Frozen):
    """Draw a city first and ingest that."""

    kind: Literal["minicity"] = "minicity"
    city: MinicityConfig = MinicityConfig()


class PathSource(Frozen):
    """Ingest a folder, or official zip files, that are there already."""

    kind: Literal["path"] = "path"
    path: str = Field(min_length=1, description="folder of the dataset, or a folder that holds its zip files")


class EvaluateConfig(Frozen):
    """Which splits go through the batch stages, and how much of each."""

    splits: tuple[Split, ...] = Field(("train", "val"), min_length=1)
    limit: dict[Split, int] = Field(default_factory=dict, description="first so many samples of a split")
    paint: PaintConfig = PaintConfig()


class RuntimeConfig(Frozen):
    """How to run. Nothing here changes a result, so nothing here enters an artifact key."""

    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    workers: int = Field(0, ge=0, description="tasks at a time; 0 = as many as there are cores")
    threads: int = Field(0, ge=0, description="threads of torch on the CPU; 0 = torch's own choice")
    runner: Literal["threads", "dask"] = "threads"
    dask_address: str | None = Field(None, description="an existing Dask scheduler; none starts a local one")
    checkpoint_every_steps: int = Field(200, ge=1)
    processes: int = Field(
        1, ge=0, description="that train a generator together, sums in another order; 0 = one per CUDA device"
    )


class RunConfig(Frozen):
    """One whole journey: photographs → labels → photographs → labels."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="aliases and reports are named after it")
    source: Annotated[MinicitySource | PathSource, Field(discriminator="kind")]
    ingest: IngestConfig
    segmenter: SegmenterConfig = SegmenterConfig()
    generator: Annotated[GeneratorConfig | GeneratorImportConfig, Field(discriminator="kind")]
    evaluate: EvaluateConfig = EvaluateConfig()
    score_boundary_tolerance: float = Field(0.0075, gt=0, lt=1)
    score_quality: QualityConfig = QualityConfig()
    report: ReportConfig = ReportConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        missing = [split for split in self.evaluate.splits if split not in self.ingest.splits]
        if missing:
            raise ValueError(f"evaluate.splits names {missing}, which ingest.splits does not ingest")
        unknown = [split for split in self.evaluate.limit if split not in self.evaluate.splits]
        if unknown:
            raise ValueError(f"evaluate.limit names {unknown}, which evaluate.splits leaves out")
        if "train" not in self.ingest.splits:
            raise ValueError("ingest.splits must hold 'train': the segmenter learns from it")
        architecture = self.generator.generator
        if architecture is not None:
            step = 2**architecture.upsamplings
            height, width = self.ingest.size
            if height % step or width % step:
                raise ValueError(
                    f"ingest.size {height}x{width} does not suit a generator of {architecture.upsamplings} "
                    f"upsamplings: both sides must be multiples of {step}"
                )
        return self
