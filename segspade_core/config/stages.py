"""Settings of what trained models are put to: segment, synthesize, score, report, cycle depth."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from segspade_core.config.base import Frozen, ImageSize, Split

_STRIDE = 32  # of the segmenters' networks

Limit = Annotated[int | None, Field(ge=1, description="only the first so many samples of the split")]


class WindowsConfig(Frozen, title="Through windows"):
    """Windows that are seen one at a time, for photographs too large for the memory."""

    size: ImageSize
    overlap: float = Field(
        0.25, ge=0, le=0.75, description="least share of a window that it has in common with the next"
    )

    @model_validator(mode="after")
    def _advances(self) -> Self:
        if min(self.size) * (1 - self.overlap) < _STRIDE:
            raise ValueError(
                f"windows of {self.size[0]}x{self.size[1]} with an overlap of {self.overlap:g} advance by "
                f"less than {_STRIDE} pixels, the network's stride; make them larger, or overlap less"
            )
        return self


Scale = Annotated[float, Field(ge=0.25, le=4)]


def _check_scales(scales: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(scales)) < len(scales):
        raise ValueError("each scale counts once: name it once")
    return scales


class LookConfig(Frozen):
    """How a segmenter looks at a photograph: once and at all of it, unless asked for more."""

    # what is not asked for is left out of what is stored: keys stay those from before there was a choice
    windows: WindowsConfig | None = Field(
        None, exclude_if=lambda windows: windows is None, description="none sees the photograph as a whole"
    )
    flip: bool = Field(
        False, exclude_if=lambda flip: not flip, description="a second look, mirrored left to right"
    )
    scales: Annotated[tuple[Scale, ...], AfterValidator(_check_scales)] = Field(
        (1.0,),
        min_length=1,
        exclude_if=lambda scales: scales == (1.0,),
        description="a look at each; the probabilities of all looks are averaged",
        examples=[[0.75, 1.0, 1.25]],
    )


Confidence = Annotated[
    bool,
    Field(
        description="keep beside each map how sure the segmenter was, a byte a pixel, for a reliability plot"
    ),
]


class SegmentConfig(LookConfig):
    """Settings of one batch segmentation.

    Confidence is off unless asked for: its maps take more room than the label maps do. Whether a prediction
    is right is told later, by scores: so photographs without true maps can be segmented alike.
    """

    split: Split
    limit: Limit = None
    confidence: Confidence = Field(False, exclude_if=lambda confidence: not confidence)


def _check_style(style: str) -> str:
    if re.fullmatch(r"mean|sample:\d{1,9}|image:.+", style) is None:
        raise ValueError(
            "a style is 'mean', 'sample:SEED' with a whole number, or 'image:ID' with that of a photograph"
        )
    return style


class PaintConfig(Frozen):
    """How maps are painted."""

    style: Annotated[str, AfterValidator(_check_style)] = Field(
        "mean",
        description="'mean', 'sample:<seed>', or 'image:<id>': the style of a photograph of the dataset",
        examples=["mean", "sample:7"],
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


class PictureConfig(PaintConfig):
    """Settings of one picture's way there and back."""

    size: ImageSize | None = Field(None, description="to work at; none is about that of the models' training")


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


Resolution = Annotated[
    Literal["label", "network"],
    Field(
        description="size that maps are compared at where the two differ: 'label', that of the true maps as "
        "the dataset holds them at their largest, or 'network', that of the predicted ones; nearest neighbour"
    ),
]


class ScoreConfig(Frozen):
    """Settings of the scores.

    The official protocol compares at the size of the annotation: 'label' does, where the dataset kept it
    (`ingest.full_size_maps`), else at the size that it was ingested at. Scores tell the size.
    """

    splits: tuple[Split, ...] = Field(("train", "val"), min_length=1)
    boundary_tolerance: float = Field(
        0.0075, gt=0, lt=1, description="a boundary counts as found within this fraction of the diagonal"
    )
    resolution: Resolution = "label"
    quality: QualityConfig = QualityConfig()


class CycleDepthConfig(Frozen):
    """Settings of what is told of a cycle that goes round and round."""

    split: Split
    limit: Limit = None
    rounds: int = Field(8, ge=1, le=50, description="how often maps are painted and read again")
    rest: float = Field(
        0.005, gt=0, lt=1, description="at rest: fewer pixels than this share change in a round"
    )
    dead: float = Field(0.05, gt=0, lt=1, description="dead: fewer than this share of a class's first pixels")
    least_pixels: int = Field(100, ge=1, description="of a class in the first map, for it to be able to die")
    boundary_tolerance: float = Field(
        0.0075, gt=0, lt=1, description="a boundary counts as found within this fraction of the diagonal"
    )
    samples: int = Field(3, ge=1, le=16, description="frames shown in the film strip")


class ReportConfig(Frozen):
    """Settings of the report."""

    title: str = "SegSPADE"
    samples: int = Field(4, ge=1, le=64, description="frames shown of each split")
    inspector_px: int = Field(
        384, ge=32, le=2048, description="width of the inspector's pictures at most: every frame is in it"
    )
