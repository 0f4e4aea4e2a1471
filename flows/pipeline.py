"""The whole journey: photographs → labels → photographs → labels."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows import stages
from flows.cycle import cycle
from flows.dying import die_with_worker
from segspade_core.config import GeneratorImportConfig, MinicitySource, RunConfig
from storage.places import Workspace
from storage.refs import ArtifactRef
from tasks.importing import check_fits
from tasks.inputs import source_place
from tasks.naming import name_results, run_name, tag_run
from tasks.production import last_named
from tasks.runners import check_cluster
from tasks.synthesizing import check_paint


@flow(name="pipeline", flow_run_name=run_name, on_running=[die_with_worker, tag_run])
def pipeline(config: RunConfig, workspace: Workspace = stages.WORKSPACE) -> ArtifactRef:
    """Make everything that `config` asks for, and use what is made already. Returns the report.

    The stages run within this one run, so that its page shows all of their tasks.
    """
    runtime = config.runtime
    check_cluster(runtime, workspace)
    imported = imported_generator(config, workspace)
    dataset = dataset_of(config, workspace)
    statistics = stages.describe.fn(dataset, workspace, runtime)
    check_paint(workspace, dataset, imported or config.generator, config.evaluate.paint)
    segmenter = stages.train_segmenter.fn(dataset, config.segmenter, workspace, runtime)
    generator = imported or stages.train_generator.fn(dataset, config.generator, workspace, runtime)
    scores, report = evaluated(config, dataset, segmenter, generator, workspace)
    name_results(workspace, config.name, [dataset, statistics, segmenter, generator, scores, report])
    return report


def evaluated(
    config: RunConfig, dataset: ArtifactRef, segmenter: ArtifactRef, generator: ArtifactRef, workspace: Path
) -> tuple[ArtifactRef, ArtifactRef]:
    """Two models on splits of a dataset: the cycle and its scores, and the report on them."""
    scores = cycle.fn(
        dataset,
        segmenter,
        generator,
        config.evaluate,
        config.score_boundary_tolerance,
        config.score_resolution,
        config.score_quality,
        workspace,
        config.runtime,
    )
    return scores, stages.report.fn(scores, config.report, workspace, config.runtime)


def imported_generator(config: RunConfig, workspace: Path) -> ArtifactRef | None:
    """First of all stages: weights that are missing or do not fit must not show after hours of training."""
    if not isinstance(config.generator, GeneratorImportConfig):
        return None
    generator = stages.import_generator.fn(config.generator, workspace, config.runtime)
    check_fits(workspace, generator, config.ingest.size)
    return generator


def dataset_of(config: RunConfig, workspace: Path) -> ArtifactRef:
    """What the source of `config` holds today, ingested; what the last run ingested of it is taken over."""
    source: ArtifactRef | Path
    if isinstance(config.source, MinicitySource):
        source = stages.minicity.fn(config.source.city, workspace, config.runtime)
    else:
        source = source_place(config.source.path)
    earlier = last_named(workspace, "dataset", config.name)
    return stages.ingest.fn(source, config.ingest, workspace, config.runtime, earlier)
