"""A split round and round: photographs segmented, maps painted, paintings segmented, these maps painted, …"""

from __future__ import annotations

from prefect import flow

from flows import stages
from segspade_core.config import (
    CycleDepthConfig,
    LookConfig,
    PaintConfig,
    RuntimeConfig,
    SegmentConfig,
    SynthesizeConfig,
)
from storage.places import Workspace
from storage.refs import ArtifactRef
from tasks.cycle_depth import DepthJourney
from tasks.synthesizing import check_paint

LOOK, PAINT = LookConfig(), PaintConfig()


@flow(name="cycle-rounds")
def cycle_rounds(
    dataset: ArtifactRef,
    segmenter: ArtifactRef,
    generator: ArtifactRef,
    config: CycleDepthConfig,
    look: LookConfig = LOOK,
    paint: PaintConfig = PAINT,
    workspace: Workspace = stages.WORKSPACE,
    runtime: RuntimeConfig = stages.RUNTIME,
) -> ArtifactRef:
    """Paint and segment again `config.rounds` times, and tell how far that leads from the first maps.

    Every round is an artifact: a run that was stopped goes on where it was, and more rounds begin where
    fewer ended.
    """
    check_paint(workspace, dataset, generator, paint)
    of_split = {"split": config.split, "limit": config.limit}
    segment = SegmentConfig(**of_split, **look.model_dump())
    synthesize = SynthesizeConfig(**of_split, **paint.model_dump())

    maps, paintings = [stages.segment.fn(segmenter, dataset, segment, workspace, runtime)], []
    for _ in range(config.rounds):
        paintings.append(stages.synthesize.fn(generator, maps[-1], synthesize, workspace, runtime))
        maps.append(stages.segment.fn(segmenter, paintings[-1], segment, workspace, runtime))
    journey = DepthJourney(
        dataset=dataset,
        segmenter=segmenter,
        generator=generator,
        maps=tuple(maps),
        paintings=tuple(paintings),
    )
    return stages.cycle_depth.fn(journey, config, workspace, runtime)
