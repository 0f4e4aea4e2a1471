"""Ingest a source of photographs and label maps into a dataset: check everything first, then write shards."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, model_validator

from segspade_core.config import IngestConfig, RuntimeConfig
from segspade_core.datasets.decode import RESIZE_RULE, check_sample, load_sample, map_size
from segspade_core.datasets.index import find_samples
from segspade_core.datasets.source import SampleFiles, Source, open_source
from segspade_core.errors import InputError, Problem, SourceError
from storage.arrays import create_split, write_shard
from storage.keys import fingerprint
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table, write_table
from tasks.plan import Part, Plan, StoredPart, part_is_made, parts_of
from tasks.splits import full_size_array
from tasks.stage import map_parts, run_logger, stage_task

REVISION = 3

# columns of <split>.samples.parquet, as DESIGN.md lists them
COLUMNS = ("id", "city", "sequence", "frame", "time_of_day", "source_sha256")


def plan_ingest(
    workspace: Path, source: ArtifactRef | Path, config: IngestConfig, runtime: RuntimeConfig | None = None
) -> Plan:
    """What ingesting a drawn city, or the files under a path, makes.

    Raises:
        SourceError: there is no such path, or it is no source.
    """
    if isinstance(source, ArtifactRef):
        place, identity = Store(workspace).path(source), str(source)
    else:
        place = source.absolute()
        identity = f"source/{fingerprint(open_source(place).members())}"
    return Plan(
        workspace=workspace,
        stage="ingest",
        kind="dataset",
        revision=REVISION,
        # the resize rule is part of what the stored pixels mean
        config={**config.model_dump(mode="json"), "resize": RESIZE_RULE},
        inputs={"source": identity},
        runtime=runtime or RuntimeConfig(),
        place=place,
    )


def _config(plan: Plan) -> IngestConfig:
    return IngestConfig(**{name: value for name, value in plan.config.items() if name != "resize"})


def ingest(plan: Plan) -> dict[str, Any]:
    """Check every file, then write every sample. Returns 'counts' for the manifest.

    Raises:
        SourceError: files are wrong and `skip_bad` is off. It lists them all, and nothing is written.
    """
    config = _config(plan)
    found = find_samples(_source(plan), config)
    everything = {split: list(samples) for split, samples in found.samples.items()}
    checked = _check(plan, everything)
    problems = sorted({*found.problems, *(Problem(**each) for part in checked for each in part.problems)})
    if problems and not config.skip_bad:
        raise SourceError(str(plan.place), problems)
    left_out = {problem.file for problem in problems}
    good = {
        split: [files for files in samples if not left_out.intersection(_paths(files))]
        for split, samples in everything.items()
    }
    empty = [split for split, samples in good.items() if not samples]
    if empty:
        raise InputError(
            f"{plan.place}: nothing is left of {', '.join(empty)} without the files with problems"
        )
    if problems:
        run_logger().warning("left out %d files:\n%s", len(problems), "\n".join(map(str, problems)))
        write_table(plan.staging / "left_out.parquet", pd.DataFrame([vars(problem) for problem in problems]))
    _write(plan, good, _full_sizes(config, good, checked))
    return {"counts": {split: len(samples) for split, samples in good.items()}}


def _check(plan: Plan, samples: dict[str, list[SampleFiles]]) -> list[Checked]:
    parts = parts_of({split: len(files) for split, files in samples.items()})
    return map_parts(check_part, plan, parts, files=[samples[p.split][p.start : p.stop] for p in parts])


def _full_sizes(
    config: IngestConfig, samples: dict[str, list[SampleFiles]], checked: list[Checked]
) -> dict[str, tuple[int, int]]:
    """Split → the one size that its label maps were annotated at, where it is another than asked for."""
    if not config.full_size_maps:
        return {}
    sizes = {path: size for part in checked for path, size in part.sizes.items()}
    found = {
        split: {sizes.get(sample.label_ids or "") for sample in files} for split, files in samples.items()
    }
    one = {split: each.pop() for split, each in found.items() if len(each) == 1}
    return {split: size for split, size in one.items() if size is not None and size != config.size}


def _write(plan: Plan, samples: dict[str, list[SampleFiles]], full_sizes: dict[str, tuple[int, int]]) -> None:
    config = _config(plan)
    for split, files in samples.items():
        names = ["image"]
        names += ["label_ids"] * all(sample.label_ids is not None for sample in files)
        names += ["instance_ids"] * all(sample.instance_ids is not None for sample in files)
        attributes = {"layout": config.layout, "resize": RESIZE_RULE}
        if split in full_sizes:
            folder = plan.staging / full_size_array(split)
            create_split(folder, len(files), full_sizes[split], names[1:], {"layout": config.layout})
        create_split(plan.staging / f"{split}.zarr", len(files), config.size, tuple(names), attributes)
    parts = parts_of({split: len(files) for split, files in samples.items()})
    map_parts(ingest_part, plan, parts, files=[samples[p.split][p.start : p.stop] for p in parts])
    for split in samples:
        rows = [read_table(_rows_path(plan, part)) for part in parts if part.split == split]
        write_table(plan.staging / f"{split}.samples.parquet", pd.concat(rows, ignore_index=True))


class Checked(BaseModel):
    """What is wrong with the files of a part, and the sizes of its label maps, by their paths.

    As a record of Prefect's it is valid only when nothing is wrong.

    A file that could not be read may be readable by now, with the same size and time.
    """

    problems: list[dict[str, str]]
    sizes: dict[str, tuple[int, int]]

    @model_validator(mode="after")
    def _all_is_well(self) -> Checked:
        if self.problems:
            raise ValueError("problems are looked for anew")
        return self


@stage_task(name="check", task_run_name="check {part.split} {part.start}–{part.stop}")
def check_part(plan: Plan, part: Part, files: list[SampleFiles]) -> Checked:
    """What is wrong with the files of one part."""
    source, config = _source(plan), _config(plan)
    problems = [vars(problem) for sample in files for problem in check_sample(source, sample, config)]
    wrong = {problem["file"] for problem in problems}
    good = [sample for sample in files if sample.label_ids and sample.label_ids not in wrong]
    sizes = {str(sample.label_ids): map_size(source, sample) for sample in good}
    return Checked.model_construct(problems=problems, sizes=sizes)


@stage_task(name="ingest", task_run_name="ingest {part.split} {part.start}–{part.stop}")
def ingest_part(plan: Plan, part: Part, files: list[SampleFiles]) -> StoredPart:
    """Decode, resize and write one shard, and the rows of its samples."""
    if not part_is_made(plan, part):
        source, config = _source(plan), _config(plan)
        arrays: dict[str, list[np.ndarray[Any, Any]]] = {}
        full_size: dict[str, list[np.ndarray[Any, Any]]] = {}
        rows = []
        for sample_files in files:
            loaded = load_sample(source, sample_files, config)
            for name, array in vars(loaded.sample).items():
                if array is not None:
                    arrays.setdefault(name, []).append(array)
            for name, array in loaded.full_size.items():
                full_size.setdefault(name, []).append(array)
            rows.append({**vars(sample_files), "source_sha256": loaded.sha256})
        folder = plan.staging / full_size_array(part.split)
        if folder.exists():
            write_shard(folder, part.shard, _whole(full_size, part))
        write_table(_rows_path(plan, part), pd.DataFrame(rows, columns=list(COLUMNS)))
        # the shard's marker comes last: a part with a marker has its rows too
        write_shard(plan.staging / part.array, part.shard, _whole(arrays, part))
    return StoredPart(plan=plan, part=part)


def _whole(arrays: dict[str, list[np.ndarray[Any, Any]]], part: Part) -> dict[str, np.ndarray[Any, Any]]:
    """Stacked, those that every sample of the part has."""
    return {name: np.stack(stack) for name, stack in arrays.items() if len(stack) == len(part)}


def _rows_path(plan: Plan, part: Part) -> Path:
    return plan.staging / "done" / f"{part.name}.rows.parquet"


def _paths(files: SampleFiles) -> set[str]:
    return {path for path in (files.image, files.label_ids, files.instance_ids) if path is not None}


def _source(plan: Plan) -> Source:
    assert plan.place is not None, "an ingest reads from somewhere"
    return _opened(plan.place, plan.inputs["source"])


@lru_cache(maxsize=4)
def _opened(place: Path, identity: str) -> Source:
    """`identity` is there so that a long-lived process opens a source anew that changed since."""
    return open_source(place)
