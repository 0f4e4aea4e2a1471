"""Draw a Minicity: the drawn city is an artifact, in the official Cityscapes folder layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segspade_core.config import MinicityConfig, RuntimeConfig
from segspade_core.datasets.minicity import draw_frame, write_frame, write_index
from storage.files import put_bytes, sync
from tasks.plan import Part, Plan, StoredPart, marker, part_is_made, parts_of
from tasks.stage import map_parts, stage_task

REVISION = 1


def plan_minicity(workspace: Path, config: MinicityConfig, runtime: RuntimeConfig | None = None) -> Plan:
    """What drawing a city with `config` makes; it has no inputs."""
    return Plan(
        workspace=workspace,
        stage="minicity",
        kind="minicity",
        revision=REVISION,
        config=config.model_dump(mode="json"),
        inputs={},
        runtime=runtime or RuntimeConfig(),
    )


def draw(plan: Plan) -> dict[str, Any]:
    """Draw every frame, 16 to a task. Returns 'counts' for the manifest."""
    config = MinicityConfig(**plan.config)
    counts = {"train": config.train, "val": config.val}
    map_parts(draw_part, plan, parts_of(counts))
    write_index(config, plan.staging)
    return {"counts": counts}


@stage_task(name="draw", task_run_name="draw {part.split} {part.start}–{part.stop}")
def draw_part(plan: Plan, part: Part) -> StoredPart:
    """Draw the frames of one part into the staging folder."""
    config = MinicityConfig(**plan.config)
    if not part_is_made(plan, part):
        files: list[Path] = []
        for index in range(part.start, part.stop):
            files += write_frame(draw_frame(config, part.split, index), part.split, plan.staging)
        # before the marker: after a power cut there must be no marker of pictures that were lost
        sync(files, plan.staging)
        put_bytes(marker(plan, part), b"")
    return StoredPart(plan=plan, part=part)
