"""Settings of retraining: what is compared, by how much it must be better, what counts as drift."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from segspade_core.config.base import Frozen, Split


class DescribeConfig(Frozen):
    """Settings of the statistics of a dataset: there are none to choose."""


class DriftConfig(Frozen):
    """When new samples count as different from those that a model was trained on."""

    distance: float = Field(
        0.3,
        gt=0,
        le=1,
        title="Smallest distance",
        description="of the cumulative distributions (Kolmogorov-Smirnov) that counts as drift",
    )
    p: float = Field(
        0.001,
        gt=0,
        lt=1,
        title="Largest chance of an accident",
        description="at which such a distance counts, corrected for how many measures are looked at",
    )


class DecisionConfig(Frozen):
    """How two models are compared on one split, and when the new one is better."""

    split: Split = Field("val", title="Split", description="both models are scored on; it needs true maps")
    metric: Literal["miou", "pixel_accuracy"] = Field(
        "miou",
        title="Score",
        description="over label ids: mean IoU of the classes that occur, or share of pixels",
    )
    margin: float = Field(
        0.0,
        ge=-1,
        le=1,
        title="Margin",
        description="the whole interval of the difference must lie above it; 0.01 is one point; below 0, a "
        "challenger may be worse by as much",
        examples=[0.0, 0.01],
    )
    confidence: float = Field(0.95, gt=0, lt=1, title="Confidence", description="of the interval")
    resamples: int = Field(2000, ge=100, le=1_000_000, title="Resamples", description="of the bootstrap")
    seed: int = Field(0, ge=0, title="Seed", description="of the bootstrap")


class RetrainConfig(Frozen):
    """How models in production are renewed."""

    alias: str = Field(
        "production",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        title="Alias",
        description="name of the models in use, such as segmenter/production",
    )
    start: Literal["scratch", "champion"] = Field(
        "scratch",
        title="Start",
        description="of a challenger's training: as configured, or the champion's weights",
    )
    decision: DecisionConfig = DecisionConfig()
    drift: DriftConfig = DriftConfig()
