"""Paint photographs from the true or the predicted label maps of a split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from segspade_core.config import GeneratorConfig, PaintConfig, RuntimeConfig, SynthesizeConfig
from storage.refs import ArtifactRef
from storage.shard_writing import write_shard
from tasks.accelerator import accelerator_turn
from tasks.models import device_name, generator_architecture, painting_models
from tasks.plan import Part, Plan, StoredPart, part_is_made
from tasks.splits import begin_split, names_of, open_input, photograph_of, read_rows
from tasks.stage import map_parts, stage_task

REVISION = 5


def plan_synthesize(
    workspace: Path,
    generator: ArtifactRef,
    label_maps: ArtifactRef,
    config: SynthesizeConfig,
    runtime: RuntimeConfig | None = None,
) -> Plan:
    """What painting a split of `label_maps` (a dataset's own, or predicted ones) with `generator` makes."""
    return Plan(
        workspace=workspace,
        stage="synthesize",
        kind="images",
        revision=REVISION,
        config=config.model_dump(mode="json"),
        inputs={"generator": str(generator), "label_maps": str(label_maps)},
        runtime=runtime or RuntimeConfig(),
    )


def check_paint(
    workspace: Path,
    dataset: ArtifactRef,
    generator: ArtifactRef | GeneratorConfig,
    paint: PaintConfig,
) -> None:
    """See that what will be asked of a generator can be had, before one is trained for days.

    Args:
        generator: one that is there, or how it will be trained on `dataset`.

    Raises:
        InputError: it will not know the style, city or time of day, or there is no such photograph.
    """
    if paint.style == "mean" and paint.city is None and paint.time_of_day is None:
        return
    from segspade_core.spade import check_steering

    if isinstance(generator, ArtifactRef):
        architecture = generator_architecture(workspace, generator)
    else:
        rows = read_rows(workspace, dataset, "train")
        cities, times = (
            tuple(sorted({name for name in names_of(rows[condition]) if name is not None}))
            if condition in generator.conditions
            else ()
            for condition in ("city", "time_of_day")
        )
        architecture = generator.generator.model_copy(update={"cities": cities, "times_of_day": times})
    check_steering(architecture, paint)
    kind, _, sample_id = paint.style.partition(":")
    if kind == "image":
        photograph_of(workspace, dataset, sample_id)


def synthesize(plan: Plan) -> dict[str, Any]:
    """Paint every sample. Returns 'counts' and 'device' for the manifest.

    Raises:
        InputError: the maps have no such split, their size does not suit the generator, or it cannot paint as
            asked.
    """
    config = SynthesizeConfig(**plan.config)
    from segspade_core.spade import check_steering

    check_steering(generator_architecture(plan.workspace, plan.input("generator")), config)
    _style_photograph(plan)
    parts = begin_split(plan, "label_maps", "label_ids", "image")
    map_parts(synthesize_part, plan, parts)
    counts = {plan.config["split"]: sum(map(len, parts))}
    return {"counts": counts, "device": device_name(plan.runtime)}


@stage_task(name="synthesize", task_run_name="synthesize {part.split} {part.start}–{part.stop}")
def synthesize_part(plan: Plan, part: Part) -> StoredPart:
    """Paint the images of one shard."""
    if not part_is_made(plan, part):
        from segspade_core.spade import painting_codes  # here: see segment_part
        from segspade_core.spade import synthesize as paint

        config = SynthesizeConfig(**plan.config)
        models = painting_models(plan.workspace, plan.input("generator"), config, plan.runtime)
        arrays = open_input(plan.workspace, plan.input("label_maps"), part.split, "label_ids")
        label_ids = arrays["label_ids"][part.start : part.stop]
        # predicted maps have no instances: the generator's edges then come from the classes that have them
        instance_ids = arrays["instance_ids"][part.start : part.stop] if "instance_ids" in arrays else None
        rows = read_rows(plan.workspace, plan.input("label_maps"), part.split)[part.start : part.stop]
        codes = painting_codes(
            models.generator,
            models.style_encoder,
            config,
            {condition: names_of(rows[condition]) for condition in ("city", "time_of_day")},
            len(part),
            _style_photograph(plan),
        )
        with accelerator_turn(plan.runtime):
            images = paint(models.painter, label_ids, instance_ids, codes)
        write_shard(plan.staging / part.array, part.shard, {"image": images})
    return StoredPart(plan=plan, part=part)


def _style_photograph(plan: Plan) -> np.ndarray | None:
    """(H, W, 3) uint8: the photograph whose style is asked for, of the dataset that the maps come from."""
    kind, _, sample_id = plan.config["style"].partition(":")
    if kind != "image":
        return None
    return photograph_of(plan.workspace, plan.input("label_maps"), sample_id)
