"""The whole journey: photographs → labels → photographs → labels."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows import stages
from flows.cycle import cycle
from segspade_core.config import GeneratorConfig, MinicitySource, RunConfig, ScoreConfig
from storage.refs import ArtifactRef
from tasks.naming import name_results


@flow(name="pipeline", flow_run_name="{config.name}")
def pipeline(config: RunConfig, workspace: Path = stages.WORKSPACE) -> ArtifactRef:
    """Make everything that `config` asks for, and use what is made already. Returns the report.

    The stages run within this one run, so that its page shows all of their tasks.
    """
    runtime = config.runtime
    dataset = _dataset(config, workspace)
    segmenter = stages.train_segmenter.fn(dataset, config.segmenter, workspace, runtime)
    generator = _generator(config, dataset, workspace)
    score_config = ScoreConfig(boundary_tolerance=config.score_boundary_tolerance)
    scores = cycle.fn(dataset, segmenter, generator, config.evaluate, score_config, workspace, runtime)
    report = stages.report.fn(scores, config.report, workspace, runtime)
    name_results(workspace, config.name, [dataset, segmenter, generator, scores, report])
    return report


def _dataset(config: RunConfig, workspace: Path) -> ArtifactRef:
    source: ArtifactRef | Path
    if isinstance(config.source, MinicitySource):
        source = stages.minicity.fn(config.source.city, workspace, config.runtime)
    else:
        source = Path(config.source.path).expanduser()
    return stages.ingest.fn(source, config.ingest, workspace, config.runtime)


def _generator(config: RunConfig, dataset: ArtifactRef, workspace: Path) -> ArtifactRef:
    if isinstance(config.generator, GeneratorConfig):
        return stages.train_generator.fn(dataset, config.generator, workspace, config.runtime)
    return stages.import_generator.fn(config.generator, workspace, config.runtime)
