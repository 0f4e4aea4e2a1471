"""Retraining: what is new is ingested, a challenger is trained, and promoted only if it is better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.states import Completed

from flows import stages
from flows.dying import die_with_worker
from flows.pipeline import dataset_of, evaluated, imported_generator
from segspade_core.config import EvaluateConfig, RunConfig, SegmentConfig
from storage.places import Workspace
from storage.refs import ArtifactRef
from tasks.deciding import Contest
from tasks.naming import name_results, run_name, tag_run
from tasks.production import (
    Candidate,
    Outcome,
    candidate_of,
    elect,
    in_use,
    of_refresh,
    put_in_use,
    reason_to_rest,
    trained_on,
)
from tasks.runners import check_cluster
from tasks.stage import tell
from tasks.synthesizing import check_paint


@flow(name="retrain", flow_run_name=run_name, on_running=[die_with_worker, tag_run])
def retrain(config: RunConfig, workspace: Workspace = stages.WORKSPACE) -> Any:
    """Renew the segmenter in use from what the source holds today. Returns the report on what is in use.

    The run ends as "Promoted" or "Kept", or as "Nothing to do" when nothing changed since the segmenter in
    use was trained, or since it was compared with another. The generator in use is the one that `config`
    imports; one that it trains is trained once, and stays in use. "Finished" is a run that had nothing to
    train, but found that what follows the segmenter in use was not made yet.
    """
    check_cluster(config.runtime, workspace)
    imported = imported_generator(config, workspace)
    dataset = dataset_of(config, workspace)
    statistics = stages.describe.fn(dataset, workspace, config.runtime)
    name_results(workspace, config.name, [dataset, statistics])
    check_paint(workspace, dataset, imported or config.generator, config.evaluate.paint)
    candidate = candidate_of(workspace, dataset, config)
    outcome = reason_to_rest(candidate) or _contest(candidate, dataset, statistics, config.evaluate)
    before = in_use(workspace, "report", config.name)
    report = _refresh(config, dataset, imported, workspace)
    outcome = of_refresh(outcome, report != before)
    tell(f"{outcome.name}: {outcome.reason}")
    return Completed(name=outcome.name, message=outcome.reason, data=report)  # type: ignore[arg-type]


def _contest(
    candidate: Candidate, dataset: ArtifactRef, statistics: ArtifactRef, evaluate: EvaluateConfig
) -> Outcome:
    """Train a challenger, and let it and the segmenter in use read the same frames.

    They read as the evaluation has it: so that the winner's maps need not be made again for it.
    """
    workspace, how, runtime = candidate.workspace, candidate.how, candidate.plan.runtime
    champion = candidate.champion
    if champion is not None and trained_on(workspace, champion) != dataset:
        before = stages.describe.fn(trained_on(workspace, champion), workspace, runtime, show=False)
        drift = stages.drift.fn(before, statistics, how.drift, workspace, runtime)
        name_results(workspace, candidate.run, [drift])
    challenger = stages.train_segmenter.fn(dataset, candidate.settings, workspace, runtime)
    if champion is None:
        return elect(candidate, None)
    only = SegmentConfig(
        split=how.decision.split, confidence=evaluate.confidence, **evaluate.look.model_dump()
    )
    maps = [stages.segment.fn(model, dataset, only, workspace, runtime) for model in (champion, challenger)]
    contest = Contest(
        dataset=dataset,
        champion=champion,
        challenger=challenger,
        champion_maps=maps[0],
        challenger_maps=maps[1],
    )
    decision = stages.decide.fn(contest, how.decision, workspace, runtime)
    name_results(workspace, candidate.run, [decision])
    return elect(candidate, decision)


def _refresh(
    config: RunConfig, dataset: ArtifactRef, imported: ArtifactRef | None, workspace: Path
) -> ArtifactRef:
    """Everything downstream of the models in use: label maps, painted images, the cycle, scores, report."""
    alias = config.retrain.alias
    segmenter = in_use(workspace, "segmenter", alias)
    assert segmenter is not None, "the first one that is trained comes into use"
    generator = imported or in_use(workspace, "generator", alias)
    if generator is None:
        generator = stages.train_generator.fn(dataset, config.generator, workspace, config.runtime)
    put_in_use(workspace, generator, alias, f"as run '{config.name}' has it")
    scores, report = evaluated(config, dataset, segmenter, generator, workspace)
    name_results(workspace, config.name, [scores, report])
    return report
