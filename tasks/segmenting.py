"""Segment the photographs, or the painted images, of a split into label maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segspade_core.config import RuntimeConfig, SegmentConfig
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.shard_writing import write_shard
from storage.tables import write_table
from tasks.accelerator import accelerator_turn
from tasks.models import device_name, segmenter_of
from tasks.plan import Part, Plan, StoredPart, marker, part_is_made
from tasks.splits import begin_split, losses_table, open_input, read_rows
from tasks.stage import map_parts, stage_task, tell

REVISION = 3


def plan_segment(
    workspace: Path,
    segmenter: ArtifactRef,
    images: ArtifactRef,
    config: SegmentConfig,
    runtime: RuntimeConfig | None = None,
) -> Plan:
    """What segmenting a split of `images` (a dataset, or painted images) with `segmenter` makes."""
    return Plan(
        workspace=workspace,
        stage="segment",
        kind="label_maps",
        revision=REVISION,
        config=config.model_dump(mode="json"),
        inputs={"segmenter": str(segmenter), "images": str(images)},
        runtime=runtime or RuntimeConfig(),
    )


def segment(plan: Plan) -> dict[str, Any]:
    """Segment every sample. Returns 'counts' and 'device' for the manifest.

    Raises:
        InputError: the images have no such split.
    """
    made = ("label_ids", "confidence") if SegmentConfig(**plan.config).confidence else ("label_ids",)
    parts = begin_split(plan, "images", "image", *made)
    _tell_of_idle_windows(plan)
    map_parts(segment_part, plan, parts)
    _gather_losses(plan, parts)
    counts = {plan.config["split"]: sum(map(len, parts))}
    return {"counts": counts, "device": device_name(plan.runtime)}


def _tell_of_idle_windows(plan: Plan) -> None:
    config = SegmentConfig(**plan.config)
    array = open_input(plan.workspace, plan.input("images"), config.split, "image")["image"]
    height, width = array.shape[1:3]
    if config.windows is not None and config.windows.size[0] >= height and config.windows.size[1] >= width:
        size = "x".join(map(str, config.windows.size))
        tell(f"windows of {size} hold a whole photograph, {height}x{width}: each is seen at once")


@stage_task(name="segment", task_run_name="segment {part.split} {part.start}–{part.stop}")
def segment_part(plan: Plan, part: Part) -> StoredPart:
    """Predict the label maps of one shard, and how sure they are where that is asked for."""
    if not part_is_made(plan, part):
        # seconds of torch, which a run that makes nothing saves
        from segspade_core.segmentation import predict

        config = SegmentConfig(**plan.config)
        model, device = segmenter_of(plan.workspace, plan.input("segmenter"), plan.runtime)
        arrays = open_input(plan.workspace, plan.input("images"), part.split, "image")
        images = arrays["image"][part.start : part.stop]
        made = {"confidence": np.empty(images.shape[:3], np.uint8)} if config.confidence else {}
        wrong: dict[str, Any] = {}
        if "label_ids" in arrays:
            wrong = {"true_maps": arrays["label_ids"][part.start : part.stop], "losses": np.empty(len(part))}
        with accelerator_turn(plan.runtime):
            label_ids = predict(model, images, device, config, **made, **wrong)
        if wrong:
            # before the shard, which says that the part is made
            put_bytes(_losses_file(plan, part), json.dumps(wrong["losses"].tolist()).encode())
        write_shard(plan.staging / part.array, part.shard, {"label_ids": label_ids, **made})
    return StoredPart(plan=plan, part=part)


def _losses_file(plan: Plan, part: Part) -> Path:
    """Beside the markers: of use only until the table is made."""
    return marker(plan, part).with_name(f"{part.name}.losses")


def _gather_losses(plan: Plan, parts: list[Part]) -> None:
    """Put the table of losses, a row a sample: of photographs alone that have a true map beside them."""
    split, images = plan.config["split"], plan.input("images")
    if "label_ids" in open_input(plan.workspace, images, split, "image"):
        files = [_losses_file(plan, part) for part in parts]
        losses = [loss for file in files for loss in json.loads(file.read_bytes())]
        ids = read_rows(plan.workspace, images, split)["id"].head(len(losses))
        write_table(plan.staging / losses_table(split), pd.DataFrame({"id": ids, "loss": losses}))
