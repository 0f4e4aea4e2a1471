"""Splits there and back: photographs segmented, maps painted, paintings segmented again, all scored."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows import stages
from segspade_core.config import (
    EvaluateConfig,
    QualityConfig,
    Resolution,
    RuntimeConfig,
    ScoreConfig,
    SegmentConfig,
    Split,
    SynthesizeConfig,
)
from storage.places import Workspace
from storage.refs import ArtifactRef
from tasks.scoring import SplitJourney
from tasks.splits import has_labels

BOUNDARY_TOLERANCE = ScoreConfig().boundary_tolerance
RESOLUTION = ScoreConfig().resolution
QUALITY = ScoreConfig().quality


@flow(name="cycle")
def cycle(
    dataset: ArtifactRef,
    segmenter: ArtifactRef,
    generator: ArtifactRef,
    evaluate: EvaluateConfig,
    boundary_tolerance: float = BOUNDARY_TOLERANCE,
    resolution: Resolution = RESOLUTION,
    quality: QualityConfig = QUALITY,
    workspace: Workspace = stages.WORKSPACE,
    runtime: RuntimeConfig = stages.RUNTIME,
) -> ArtifactRef:
    """Take splits of a dataset through segmenter and generator, there and back, and score every step."""
    models = dataset, segmenter, generator
    journeys = [_journey(split, evaluate, *models, workspace, runtime) for split in evaluate.splits]
    config = ScoreConfig(
        splits=evaluate.splits,
        boundary_tolerance=boundary_tolerance,
        resolution=resolution,
        quality=quality,
    )
    return stages.score.fn(journeys, config, workspace, runtime)


def _journey(
    split: Split,
    evaluate: EvaluateConfig,
    dataset: ArtifactRef,
    segmenter: ArtifactRef,
    generator: ArtifactRef,
    workspace: Path,
    runtime: RuntimeConfig,
) -> SplitJourney:
    limit = evaluate.limit.get(split)
    only = SegmentConfig(split=split, limit=limit, **evaluate.look.model_dump())
    paint_only = SynthesizeConfig(split=split, limit=limit, **evaluate.paint.model_dump())

    # of photographs alone: how sure it is of paintings, which it never learned from, says little
    with_confidence = only.model_copy(update={"confidence": evaluate.confidence})
    predicted = stages.segment.fn(segmenter, dataset, with_confidence, workspace, runtime)
    painted = stages.synthesize.fn(generator, predicted, paint_only, workspace, runtime)
    again = stages.segment.fn(segmenter, painted, only, workspace, runtime)
    painted_true = resegmented = None
    if has_labels(workspace, dataset, split):
        painted_true = stages.synthesize.fn(generator, dataset, paint_only, workspace, runtime)
        resegmented = stages.segment.fn(segmenter, painted_true, only, workspace, runtime)
    return SplitJourney(
        split=split,
        dataset=dataset,
        segmenter=segmenter,
        generator=generator,
        predicted=predicted,
        painted_predicted=painted,
        cycle=again,
        painted_true=painted_true,
        resegmented=resegmented,
    )
