"""One flow per stage: each takes artifacts and one frozen config, and makes one artifact."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from prefect import flow

from flows.report_pages import pages_of
from segspade_core.config import (
    CycleDepthConfig,
    DecisionConfig,
    DriftConfig,
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
from storage.places import Workspace
from storage.refs import ArtifactRef
from tasks import (
    deciding,
    describing,
    drawing,
    drifting,
    importing,
    ingesting,
    reporting,
    scoring,
    segmenting,
    synthesizing,
    training,
)
from tasks.cycle_depth import DepthJourney, plan_cycle_depth, tell_depth
from tasks.depth_page import show_depth
from tasks.naming import stage_name
from tasks.retrain_page import show_dataset, show_decision, show_drift
from tasks.run_page import (
    show_classes,
    show_lineage,
    show_report,
    show_samples,
    show_scores,
)
from tasks.stage import making, publish
from tasks.training_page import show_training

WORKSPACE = Path("workspace")
RUNTIME = RuntimeConfig()
stage = partial(flow, flow_run_name=stage_name)


@stage(name="minicity")
def minicity(
    config: MinicityConfig, workspace: Workspace = WORKSPACE, runtime: RuntimeConfig = RUNTIME
) -> ArtifactRef:
    """Draw a city: photographs with exact label maps, in the official Cityscapes layout."""
    plan = drawing.plan_minicity(workspace, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else drawing.draw(plan)
        return publish(plan, work, **about)


@stage(name="ingest")
def ingest(
    source: ArtifactRef | Path,
    config: IngestConfig,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
    earlier: ArtifactRef | None = None,
) -> ArtifactRef:
    """Photographs and label maps as they lie on disk → a dataset; of `earlier` what is in both."""
    plan = ingesting.plan_ingest(workspace, source, config, runtime, earlier)
    with making(plan) as work:
        about = {} if work.is_done else ingesting.ingest(plan)
        return publish(plan, work, **about)


@stage(name="describe")
def describe(
    dataset: ArtifactRef,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
    show: bool = True,
) -> ArtifactRef:
    """A dataset → what each of its samples looks like, in numbers. `show`: as a card on the run's page."""
    plan = describing.plan_describe(workspace, dataset, runtime)
    with making(plan) as work:
        about = {} if work.is_done else describing.describe(plan)
        made = publish(plan, work, **about)
    if show:
        show_dataset(workspace, made)
    return made


@stage(name="drift")
def drift(
    before: ArtifactRef,
    now: ArtifactRef,
    config: DriftConfig,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """Statistics of the data a model was trained on, and of today's → whether what is new looks different."""
    plan = drifting.plan_drift(workspace, before, now, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else drifting.compare(plan)
        made = publish(plan, work, **about)
    drifting.warn_of_drift(workspace, made)
    show_drift(workspace, made)
    return made


@stage(name="train-segmenter")
def train_segmenter(
    dataset: ArtifactRef,
    config: SegmenterConfig,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """The train split of a dataset → a segmenter."""
    plan = training.plan_segmenter(workspace, dataset, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else training.train(plan, work)
        made = publish(plan, work, **about)
    show_training(workspace, made)
    return made


@stage(name="train-generator")
def train_generator(
    dataset: ArtifactRef,
    config: GeneratorConfig,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """The train split of a dataset → a SPADE generator."""
    plan = training.plan_generator(workspace, dataset, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else training.train(plan, work)
        made = publish(plan, work, **about)
    show_training(workspace, made)
    return made


@stage(name="import-generator")
def import_generator(
    config: GeneratorImportConfig, workspace: Workspace = WORKSPACE, runtime: RuntimeConfig = RUNTIME
) -> ArtifactRef:
    """Weights that were trained elsewhere → a SPADE generator."""
    plan = importing.plan_import(workspace, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else importing.import_weights(plan)
        return publish(plan, work, **about)


@stage(name="segment")
def segment(
    segmenter: ArtifactRef,
    images: ArtifactRef,
    config: SegmentConfig,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """Photographs, or painted images, of one split → predicted label maps."""
    plan = segmenting.plan_segment(workspace, segmenter, images, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else segmenting.segment(plan)
        return publish(plan, work, **about)


@stage(name="synthesize")
def synthesize(
    generator: ArtifactRef,
    label_maps: ArtifactRef,
    config: SynthesizeConfig,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """True or predicted label maps of one split → painted images."""
    plan = synthesizing.plan_synthesize(workspace, generator, label_maps, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else synthesizing.synthesize(plan)
        return publish(plan, work, **about)


@stage(name="decide")
def decide(
    contest: deciding.Contest,
    config: DecisionConfig,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """The label maps of two models on one split → which of the two is better, and how sure that is."""
    plan = deciding.plan_decide(workspace, contest, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else deciding.decide(plan)
        made = publish(plan, work, **about)
    show_decision(workspace, made)
    return made


@stage(name="score")
def score(
    journeys: list[scoring.SplitJourney],
    config: ScoreConfig,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """Everything that was made of some splits → scores."""
    plan = scoring.plan_score(workspace, journeys, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else scoring.score(plan)
        made = publish(plan, work, **about)
    show_scores(workspace, made)
    show_classes(workspace, made)
    return made


@stage(name="cycle-depth")
def cycle_depth(
    journey: DepthJourney,
    config: CycleDepthConfig,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """The label maps of a split in every round of a cycle → how far they drift, and what dies on the way."""
    plan = plan_cycle_depth(workspace, journey, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else tell_depth(plan)
        made = publish(plan, work, **about)
    show_depth(workspace, made, pages_of(workspace))
    return made


@stage(name="report")
def report(
    scores: ArtifactRef,
    config: ReportConfig,
    workspace: Workspace = WORKSPACE,
    runtime: RuntimeConfig = RUNTIME,
) -> ArtifactRef:
    """Scores, and all they were made from → one page to read."""
    plan = reporting.plan_report(workspace, scores, config, runtime)
    with making(plan) as work:
        about = {} if work.is_done else reporting.write_report(plan)
        made = publish(plan, work, **about)
    pages = pages_of(workspace)
    show_samples(workspace, scores, made, pages)
    show_lineage(workspace, made)
    show_report(workspace, made, pages)
    return made
