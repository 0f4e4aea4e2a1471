"""Settings of one whole journey, and of how it is run."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from segspade_core.config.base import BY_KIND, Frozen, Split
from segspade_core.config.data import IngestConfig, MinicitySource, PathSource
from segspade_core.config.generator import GeneratorConfig, GeneratorImportConfig
from segspade_core.config.retrain import RetrainConfig
from segspade_core.config.segmenter import SegmenterConfig
from segspade_core.config.stages import (
    Confidence,
    LookConfig,
    PaintConfig,
    QualityConfig,
    ReportConfig,
    Resolution,
)


class EvaluateConfig(Frozen):
    """Which splits go through the batch stages, and how much of each."""

    splits: tuple[Split, ...] = Field(("train", "val"), min_length=1)
    limit: dict[Split, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="first so many samples of a split"
    )
    look: LookConfig = Field(LookConfig(), description="how the segmenter looks, at paintings as well")
    paint: PaintConfig = PaintConfig()
    confidence: Confidence = Field(False, description="keep how sure the segmenter was of photographs")


class RuntimeConfig(Frozen):
    """How to run. None of it enters an artifact key: results are the same up to rounding.

    Other `threads`, `processes` or devices sum in another order, which can move a pixel that stands between
    two labels. Where bytes are to be equal, let these be equal too. Several `processes` draw dropout each
    for itself, and have losses that are no mean over pixels (class weights, hard pixels, Dice, Lovász) for
    each share of a batch.
    """

    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    workers: int = Field(
        0,
        ge=0,
        description="tasks at a time, and threads in which each process makes batches for a segmenter to "
        "learn from; 0 = as many as there are cores, of threads for batches its share of them and at most 4",
    )
    threads: int = Field(0, ge=0, description="threads of torch on the CPU; 0 = torch's own choice")
    runner: Literal["threads", "dask"] = "threads"
    dask_address: str | None = Field(
        None,
        pattern=r"^([a-z]+://)?(\[[0-9a-fA-F:]+\]|[^\s/:\[\]]+):\d+$",
        description="an existing Dask scheduler, such as tcp://10.0.0.1:8786; none starts a local one",
    )
    checkpoint_every_steps: int = Field(200, ge=1)
    accelerator_limit: str = Field(
        "auto",
        min_length=1,
        description="concurrency limit of the Prefect server that a model holds a slot of while it trains or "
        "predicts: 'auto' is 'gpu' on a GPU and none on the CPU; 'none', or a name",
    )
    processes: int = Field(
        1,
        ge=0,
        description="that train a segmenter or generator together, sums in another order; 0 = one per CUDA "
        "device",
    )


class RunConfig(Frozen):
    """One whole journey: photographs → labels → photographs → labels."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="aliases and reports are named after it")
    source: Annotated[MinicitySource | PathSource, BY_KIND]
    ingest: IngestConfig
    segmenter: SegmenterConfig = SegmenterConfig()
    generator: Annotated[GeneratorConfig | GeneratorImportConfig, BY_KIND]
    evaluate: EvaluateConfig = EvaluateConfig()
    score_boundary_tolerance: float = Field(0.0075, gt=0, lt=1)
    score_resolution: Resolution = "label"
    score_quality: QualityConfig = QualityConfig()
    report: ReportConfig = ReportConfig()
    retrain: RetrainConfig = RetrainConfig()
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
        self._check_size()
        self._check_paint()
        return self

    def _check_paint(self) -> None:
        """As far as the config alone tells how a generator that is to be trained can paint."""
        config, paint = self.generator, self.evaluate.paint
        if isinstance(config, GeneratorImportConfig):
            return
        if paint.style != "mean" and not config.generator.style_dim:
            raise ValueError(
                f"evaluate.paint.style '{paint.style}': this generator will know no styles; leave it at "
                "'mean', or set generator.generator.style_dim, such as 64"
            )
        for condition in ("city", "time_of_day"):
            name = getattr(paint, condition)
            if name is not None and condition not in config.conditions:
                raise ValueError(
                    f"evaluate.paint.{condition} '{name}': this generator will know no {condition}; add "
                    f"{condition} to generator.conditions"
                )

    def _check_size(self) -> None:
        """As far as the config alone tells what can be cropped, and what the generator can paint."""
        config, (height, width) = self.generator, self.ingest.size
        if (fault := self.segmenter.augment.fault_of_crop(self.ingest.size)) is not None:
            raise ValueError(f"segmenter.{fault}")
        crop = None if isinstance(config, GeneratorImportConfig) else config.crop
        if crop is not None and (crop[0] > height or crop[1] > width):
            raise ValueError(
                f"generator.crop {crop[0]}x{crop[1]} is larger than the photographs, {height}x{width}; make "
                "it smaller, or ingest at a larger size"
            )
        shape = config.generator or config if isinstance(config, GeneratorImportConfig) else config.generator
        if shape.upsamplings is None:
            return
        step = 2**shape.upsamplings
        if height % step or width % step:
            raise ValueError(
                f"ingest.size {height}x{width} does not suit a generator of {shape.upsamplings} upsamplings: "
                f"both sides must be multiples of {step}"
            )
        if shape.linear_head is not None:
            rows, columns = (side * step for side in shape.linear_head)
            if (height, width) != (rows, columns):
                raise ValueError(
                    f"ingest.size {height}x{width} does not suit a generator with this linear_head: it "
                    f"paints at {rows}x{columns} and no other size"
                )
