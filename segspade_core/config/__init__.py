"""Every setting of every stage: frozen, closed pydantic models.

A stage's model enters its artifact key, so two runs that differ in one field make two artifacts. How a run
is done (device, number of workers, how often to checkpoint) lives in `RuntimeConfig` alone and never enters a
key. `RunConfig` is one YAML file under `configs/`: one whole journey.
"""

from segspade_core.config.base import Frozen, ImageSize, Layout, Split
from segspade_core.config.data import IngestConfig, MinicityConfig, MinicitySource, PathSource
from segspade_core.config.generator import (
    DiscriminatorArchitecture,
    EncoderArchitecture,
    GeneratorArchitecture,
    GeneratorConfig,
    GeneratorImportConfig,
    LossWeights,
    PatchArchitecture,
    UNetArchitecture,
)
from segspade_core.config.retrain import DecisionConfig, DescribeConfig, DriftConfig, RetrainConfig
from segspade_core.config.run import EvaluateConfig, RunConfig, RuntimeConfig
from segspade_core.config.segmenter import AugmentConfig, Head, SegmenterConfig, Weights
from segspade_core.config.stages import (
    CycleDepthConfig,
    Limit,
    LookConfig,
    PaintConfig,
    PictureConfig,
    QualityConfig,
    ReportConfig,
    Resolution,
    ScoreConfig,
    SegmentConfig,
    SynthesizeConfig,
    WindowsConfig,
)

__all__ = [
    "AugmentConfig",
    "CycleDepthConfig",
    "DecisionConfig",
    "DescribeConfig",
    "DiscriminatorArchitecture",
    "DriftConfig",
    "EncoderArchitecture",
    "EvaluateConfig",
    "Frozen",
    "GeneratorArchitecture",
    "GeneratorConfig",
    "GeneratorImportConfig",
    "Head",
    "ImageSize",
    "IngestConfig",
    "Layout",
    "Limit",
    "LookConfig",
    "LossWeights",
    "MinicityConfig",
    "MinicitySource",
    "PaintConfig",
    "PatchArchitecture",
    "PathSource",
    "PictureConfig",
    "QualityConfig",
    "ReportConfig",
    "Resolution",
    "RetrainConfig",
    "RunConfig",
    "RuntimeConfig",
    "ScoreConfig",
    "SegmentConfig",
    "SegmenterConfig",
    "Split",
    "SynthesizeConfig",
    "UNetArchitecture",
    "Weights",
    "WindowsConfig",
]
