"""Settings of where photographs come from, and how they are stored."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from segspade_core.config.base import Codec, Frozen, ImageSize, Layout, Split


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
    full_size_maps: bool = Field(
        True,
        description="keep true maps at the size they were annotated at as well, where a split has one: "
        "scores are official there",
    )
    codec: Codec = Field(
        "fast",
        description="how samples are packed: fast to read, small on disk (a third less than fast), or raw",
    )
    skip_bad: bool = Field(False, description="ingest the rest of a source with problems, and record them")


class MinicitySource(Frozen):
    """Draw a city first and ingest that."""

    kind: Literal["minicity"] = "minicity"
    city: MinicityConfig = MinicityConfig()


class PathSource(Frozen):
    """Ingest a folder, or official zip files, that are there already."""

    kind: Literal["path"] = "path"
    path: str = Field(min_length=1, description="folder of the dataset, or a folder that holds its zip files")
