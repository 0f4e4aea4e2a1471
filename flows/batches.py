"""Whole splits through a model in use: what deployments run, and forms in the Prefect UI ask for."""

from __future__ import annotations

from prefect import flow
from pydantic import Field

from flows import stages
from flows.cycle import cycle
from flows.dying import die_with_worker
from segspade_core.config import (
    EvaluateConfig,
    Frozen,
    IngestConfig,
    LookConfig,
    PaintConfig,
    QualityConfig,
    ReportConfig,
    RuntimeConfig,
    SegmentConfig,
    Split,
    SynthesizeConfig,
)
from storage.places import Workspace
from storage.refs import ArtifactRef
from tasks.inputs import source_place
from tasks.naming import batch_name, name_results, tag_run
from tasks.production import last_named, named

_SEGMENTER = Field(
    "segmenter/production",
    title="Segmenter",
    description="an alias, a key, or the beginning of one; what it was is kept in the artifact's manifest",
    examples=["segmenter/production", "segmenter/minicity"],
)
_GENERATOR = Field(
    "generator/production",
    title="Generator",
    description="an alias, a key, or the beginning of one; what it was is kept in the artifact's manifest",
    examples=["generator/production", "generator/minicity"],
)
_SPLIT = Field("val", title="Split", description="of the dataset that goes through")
_LIMIT = Field(None, ge=1, title="Limit", description="only the first so many samples; empty: all")


class IngestRequest(Frozen):
    """What to ingest."""

    source: str = Field(
        title="Source",
        description="folder or zip files of the dataset, as the worker sees them",
        examples=["/data/cityscapes", "/data/CamVid"],
    )
    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        title="Name",
        description="the dataset's alias: dataset/<name>",
        examples=["cityscapes"],
    )
    ingest: IngestConfig = Field(title="How")


class SegmentRequest(Frozen):
    """Which photographs to read into label maps, and by which segmenter."""

    images: str = Field(
        title="Photographs",
        description="a dataset, or painted images, by alias or key",
        examples=["dataset/minicity", "dataset/cityscapes"],
    )
    segmenter: str = _SEGMENTER
    split: Split = _SPLIT
    limit: int | None = _LIMIT
    look: LookConfig = Field(LookConfig(), title="How")


class SynthesizeRequest(Frozen):
    """Which label maps to paint, by which generator, and how."""

    label_maps: str = Field(
        title="Label maps",
        description="a dataset with true maps, or predicted ones, by alias or key",
        examples=["dataset/minicity", "dataset/cityscapes"],
    )
    generator: str = _GENERATOR
    split: Split = _SPLIT
    limit: int | None = _LIMIT
    paint: PaintConfig = Field(PaintConfig(), title="How")


class CycleRequest(Frozen):
    """Which splits to take there and back, with which models."""

    dataset: str = Field(title="Dataset", description="by alias or key", examples=["dataset/minicity"])
    segmenter: str = _SEGMENTER
    generator: str = _GENERATOR
    evaluate: EvaluateConfig = Field(EvaluateConfig(), title="Splits")
    quality: QualityConfig = Field(QualityConfig(), title="Quality of painting")
    report: ReportConfig = Field(ReportConfig(), title="Report")


@flow(name="ingest-source", flow_run_name=batch_name, on_running=[die_with_worker, tag_run])
def ingest_source(
    what: IngestRequest, workspace: Workspace = stages.WORKSPACE, runtime: RuntimeConfig = stages.RUNTIME
) -> ArtifactRef:
    """Photographs and label maps as they lie on disk → a dataset, with a card of what is in it."""
    earlier = last_named(workspace, "dataset", what.name)
    dataset = stages.ingest.fn(source_place(what.source), what.ingest, workspace, runtime, earlier)
    statistics = stages.describe.fn(dataset, workspace, runtime)
    name_results(workspace, what.name, [dataset, statistics])
    return dataset


@flow(name="segment-split", flow_run_name=batch_name, on_running=[die_with_worker, tag_run])
def segment_split(
    what: SegmentRequest, workspace: Workspace = stages.WORKSPACE, runtime: RuntimeConfig = stages.RUNTIME
) -> ArtifactRef:
    """Photographs, or painted images, of one split → predicted label maps."""
    segmenter = named(workspace, what.segmenter, "segmenter")
    images = named(workspace, what.images, "dataset", "images")
    config = SegmentConfig(split=what.split, limit=what.limit, **what.look.model_dump())
    return stages.segment.fn(segmenter, images, config, workspace, runtime)


@flow(name="synthesize-split", flow_run_name=batch_name, on_running=[die_with_worker, tag_run])
def synthesize_split(
    what: SynthesizeRequest, workspace: Workspace = stages.WORKSPACE, runtime: RuntimeConfig = stages.RUNTIME
) -> ArtifactRef:
    """True or predicted label maps of one split → painted images."""
    generator = named(workspace, what.generator, "generator")
    label_maps = named(workspace, what.label_maps, "dataset", "label_maps")
    config = SynthesizeConfig(split=what.split, limit=what.limit, **what.paint.model_dump())
    return stages.synthesize.fn(generator, label_maps, config, workspace, runtime)


@flow(name="cycle-report", flow_run_name=batch_name, on_running=[die_with_worker, tag_run])
def cycle_report(
    what: CycleRequest, workspace: Workspace = stages.WORKSPACE, runtime: RuntimeConfig = stages.RUNTIME
) -> ArtifactRef:
    """Splits there and back through segmenter and generator, with scores and a report."""
    dataset = named(workspace, what.dataset, "dataset")
    segmenter = named(workspace, what.segmenter, "segmenter")
    generator = named(workspace, what.generator, "generator")
    scores = cycle.fn(
        dataset,
        segmenter,
        generator,
        what.evaluate,
        quality=what.quality,
        workspace=workspace,
        runtime=runtime,
    )
    return stages.report.fn(scores, what.report, workspace, runtime)
