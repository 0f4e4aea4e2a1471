"""One flow per stage: each takes artifacts and one frozen config, and makes one artifact."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from segspade_core.config import (
    GeneratorConfig,
    GeneratorImportConfig,
    IngestConfig,
    MinicityConfig,
    ReportConfig,
    RuntimeConfig,
    ScoreConfig,
    SegmentConfig,
    SegmenterConfig,
    SynthesizeConfig,
)
from storage.refs import ArtifactRef
from tasks import drawing, importing, ingesting, reporting, scoring, segmenting, synthesizing, training
from tasks.run_page import show_report, show_samples, show_scores
from tasks.stage import making, publish

WORKSPACE = Path("workspace")
RUNTIME = RuntimeConfig()


@flow(name="minicity")
def minicity(
    config: MinicityConfig, workspace: Path = WORKSPACE, runtime: RuntimeConfig = RUNTIME
) -> ArtifactRef:
    """Draw a city: photographs with exact label maps, in the official Cityscapes layout."""
    plan = drawing.plan_minicity(workspace, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else drawing.draw(plan)
        return publish(plan, work, **about)


@flow(name="ingest")
def ingest(
    source: ArtifactRef | Path,
    config: IngestConfig,
    workspace: Path = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """Photographs and label maps as they lie on disk → a dataset."""
    plan = ingesting.plan_ingest(workspace, source, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else ingesting.ingest(plan)
        return publish(plan, work, **about)


@flow(name="train-segmenter")
def train_segmenter(
    dataset: ArtifactRef,
    config: SegmenterConfig,
    workspace: Path = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """The train split of a dataset → a segmenter."""
    plan = training.plan_segmenter(workspace, dataset, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else training.train(plan, work)
        return publish(plan, work, **about)


@flow(name="train-generator")
def train_generator(
    dataset: ArtifactRef,
    config: GeneratorConfig,
    workspace: Path = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """The train split of a dataset → a SPADE generator."""
    plan = training.plan_generator(workspace, dataset, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else training.train(plan, work)
        return publish(plan, work, **about)


@flow(name="import-generator")
def import_generator(
    config: GeneratorImportConfig, workspace: Path = WORKSPACE, runtime: RuntimeConfig = RUNTIME
) -> ArtifactRef:
    """Weights that were trained elsewhere → a SPADE generator."""
    plan = importing.plan_import(workspace, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else importing.import_weights(plan)
        return publish(plan, work, **about)


@flow(name="segment")
def segment(
    segmenter: ArtifactRef,
    images: ArtifactRef,
    config: SegmentConfig,
    workspace: Path = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """Photographs, or painted images, of one split → predicted label maps."""
    plan = segmenting.plan_segment(workspace, segmenter, images, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else segmenting.segment(plan)
        return publish(plan, work, **about)


@flow(name="synthesize")
def synthesize(
    generator: ArtifactRef,
    label_maps: ArtifactRef,
    config: SynthesizeConfig,
    workspace: Path = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """True or predicted label maps of one split → painted images."""
    plan = synthesizing.plan_synthesize(workspace, generator, label_maps, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else synthesizing.synthesize(plan)
        return publish(plan, work, **about)


@flow(name="score")
def score(
    journeys: list[scoring.SplitJourney],
    config: ScoreConfig,
    workspace: Path = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """Everything that was made of some splits → scores."""
    plan = scoring.plan_score(workspace, journeys, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else scoring.score(plan)
        made = publish(plan, work, **about)
    show_scores(workspace, made)
    return made


@flow(name="report")
def report(
    scores: ArtifactRef, config: ReportConfig, workspace: Path = WORKSPACE, runtime: RuntimeConfig = RUNTIME
) -> ArtifactRef:
    """Scores, and all they were made from → one page to read."""
    plan = reporting.plan_report(workspace, scores, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else reporting.write_report(plan)
        made = publish(plan, work, **about)
    show_samples(workspace, scores)
    show_report(workspace, made)
    return made
