"""Describe a dataset: what every sample looks like in numbers, for its card and to tell drift by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from segspade_core.config import DescribeConfig, RuntimeConfig
from segspade_core.metrics.statistics import sample_row
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table, write_table
from tasks.plan import Part, Plan, StoredPart, marker, part_is_made, parts_of
from tasks.splits import open_input, read_rows
from tasks.stage import map_parts, stage_task

REVISION = 1
SAMPLES = "samples.parquet"

_KNOWN = ("id", "city", "time_of_day", "source_sha256")


def plan_describe(workspace: Path, dataset: ArtifactRef, runtime: RuntimeConfig | None = None) -> Plan:
    """What describing a dataset makes."""
    return Plan(
        workspace=workspace,
        stage="describe",
        kind="statistics",
        revision=REVISION,
        config=DescribeConfig().model_dump(mode="json"),
        inputs={"dataset": str(dataset)},
        runtime=runtime or RuntimeConfig(),
    )


def describe(plan: Plan) -> dict[str, Any]:
    """Measure every sample of every split. Returns 'counts' for the manifest."""
    counts = Store(plan.workspace).manifest(plan.input("dataset")).counts
    parts = parts_of(counts)
    map_parts(describe_part, plan, parts)
    tables = [read_table(_rows_path(plan, part)) for part in parts]
    write_table(plan.staging / SAMPLES, pd.concat(tables, ignore_index=True))
    return {"counts": counts}


@stage_task(name="describe", task_run_name="describe {part.split} {part.start}–{part.stop}")
def describe_part(plan: Plan, part: Part) -> StoredPart:
    """Measure the samples of one shard. The table is there before the marker."""
    if not part_is_made(plan, part):
        arrays = open_input(plan.workspace, plan.input("dataset"), part.split, "image")
        images = arrays["image"][part.start : part.stop]
        labels = arrays["label_ids"][part.start : part.stop] if "label_ids" in arrays else [None] * len(part)
        known = read_rows(plan.workspace, plan.input("dataset"), part.split)[part.start : part.stop]
        rows = [
            {"split": part.split, **{name: row[name] for name in _KNOWN}, **sample_row(image, label_ids)}
            for row, image, label_ids in zip(known.to_dict("records"), images, labels, strict=True)
        ]
        write_table(_rows_path(plan, part), pd.DataFrame(rows))
        put_bytes(marker(plan, part), b"")
    return StoredPart(plan=plan, part=part)


def read_samples(workspace: Path, statistics: ArtifactRef, split: str | None = None) -> pd.DataFrame:
    """A row a sample: split, id, city, time_of_day, source_sha256, and the columns of `sample_row`."""
    table = read_table(Store(workspace).path(statistics) / SAMPLES)
    return table if split is None else table[table["split"] == split].reset_index(drop=True)


def _rows_path(plan: Plan, part: Part) -> Path:
    return plan.staging / "done" / f"{part.name}.rows.parquet"
