"""Ingest a source of photographs and label maps into a dataset.

Every file is decoded once: it is checked and written in one go, and what was written goes again when a file
turns out to be wrong. Of a dataset that was made of the same source before, samples whose files did not
change are taken over, whole shards as they are.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, model_validator

from segspade_core.config import IngestConfig, RuntimeConfig
from segspade_core.datasets.decode import RESIZE_RULE, check_sample, map_size
from segspade_core.datasets.index import find_samples
from segspade_core.datasets.read_ahead import ReadAhead
from segspade_core.datasets.source import BadFile, SampleFiles, Source, open_source
from segspade_core.errors import InputError, Problem, SourceError
from storage.keys import fingerprint
from storage.refs import ArtifactRef
from storage.split_layout import create_split
from storage.store import Store
from storage.tables import read_table, write_table
from tasks.earlier import NEW, OF_FILES, earlier_dataset, plan_inputs
from tasks.ingested_shard import IngestedShard, rows_path
from tasks.plan import Part, Plan, StoredPart, part_is_made, parts_of
from tasks.progress import say
from tasks.splits import full_size_array
from tasks.stage import map_parts, run_logger, stage_task

REVISION = 4


def plan_ingest(
    workspace: Path,
    source: ArtifactRef | Path,
    config: IngestConfig,
    runtime: RuntimeConfig | None = None,
    earlier: ArtifactRef | None = None,
) -> Plan:
    """What ingesting a drawn city, or the files under a path, makes.

    Args:
        workspace: where it is made.
        source: what is ingested.
        config: how.
        runtime: on what.
        earlier: a dataset that may have been made of the same source before it grew. If it was, and in the
            same way, its samples are taken over in their order, and new ones follow; it is an input then.
            If the source did not change since, that dataset is what is planned.

    Raises:
        SourceError: there is no such path, or it is no source.
    """
    # the resize rule is part of what the stored pixels mean
    settings = {**config.model_dump(mode="json"), "resize": RESIZE_RULE}
    if isinstance(source, ArtifactRef):
        place, inputs = Store(workspace).path(source), {"source": str(source)}
    else:
        place = source.absolute()
        identity = f"{OF_FILES}{fingerprint(open_source(place).members())}"
        inputs = plan_inputs(workspace, identity, settings, REVISION, earlier)
    return Plan(
        workspace=workspace,
        stage="ingest",
        kind="dataset",
        revision=REVISION,
        config=settings,
        inputs=inputs,
        runtime=runtime or RuntimeConfig(),
        place=place,
    )


def _config(plan: Plan) -> IngestConfig:
    return IngestConfig(**{name: value for name, value in plan.config.items() if name != "resize"})


def ingest(plan: Plan) -> dict[str, Any]:
    """Check and write every sample. Returns 'counts' and 'metrics' for the manifest.

    Raises:
        SourceError: files are wrong and `skip_bad` is off. It lists them all, and nothing is left in staging.
    """
    config = _config(plan)
    found = find_samples(_source(plan), config)
    samples = {split: list(files) for split, files in found.samples.items()}
    problems, left_out = found.problems, {}
    if config.skip_bad:
        samples, bad = _without_bad(plan, samples, problems)
        problems, left_out = [], {"files_left_out": len(bad)} if bad else {}
    samples = _in_order(plan, samples)
    # of a split with nothing in it, the problems tell why
    problems = sorted({*problems, *_write(plan, {split: files for split, files in samples.items() if files})})
    if problems:
        plan.store.discard_staged(plan.ref)
        raise SourceError(str(plan.place), problems)
    return {"counts": {split: len(files) for split, files in samples.items()}, "metrics": left_out}


def _without_bad(
    plan: Plan, samples: dict[str, list[SampleFiles]], problems: list[Problem]
) -> tuple[dict[str, list[SampleFiles]], list[Problem]]:
    """The samples whose files are all well, and what is wrong with the others, which is told and recorded.

    Looked for before anything is written: which sample is in which shard depends on it.
    """
    parts = parts_of({split: len(files) for split, files in samples.items()})
    checked = map_parts(check_part, plan, parts, files=[samples[p.split][p.start : p.stop] for p in parts])
    problems = sorted({*problems, *(Problem(**each) for part in checked for each in part.problems)})
    left_out = {problem.file for problem in problems}
    good = {
        split: [sample for sample in files if not left_out.intersection(_paths(sample))]
        for split, files in samples.items()
    }
    if empty := [split for split, files in good.items() if not files]:
        raise InputError(
            f"{plan.place}: nothing is left of {', '.join(empty)} without the files with problems"
        )
    if problems:
        run_logger().warning("left out %d files:\n%s", len(problems), "\n".join(map(str, problems)))
        more = f" (and {len(problems) - 1} more: see left_out.parquet)" if len(problems) > 1 else ""
        say(f"left out {problems[0]}{more}")
        write_table(plan.staging / "left_out.parquet", pd.DataFrame([vars(problem) for problem in problems]))
    return good, problems


def _in_order(plan: Plan, samples: dict[str, list[SampleFiles]]) -> dict[str, list[SampleFiles]]:
    """Those of the earlier dataset first, in its order; the others sorted as they are."""
    earlier = earlier_dataset(plan)
    if earlier is None:
        return samples
    return {
        split: sorted(files, key=lambda sample: earlier.row(split, sample.id))
        for split, files in samples.items()
    }


def _full_sizes(plan: Plan, samples: dict[str, list[SampleFiles]]) -> dict[str, tuple[int, int]]:
    """Split → the one size that its label maps were annotated at, where it is another than asked for."""
    config, source = _config(plan), _source(plan)
    if not config.full_size_maps:
        return {}
    found = {split: {_map_size(source, sample) for sample in files} for split, files in samples.items()}
    one = {split: each.pop() for split, each in found.items() if len(each) == 1}
    return {split: size for split, size in one.items() if size is not None and size != config.size}


def _map_size(source: Source, files: SampleFiles) -> tuple[int, int] | None:
    try:
        return map_size(source, files)
    except BadFile:
        return None  # what is wrong with it is told when it is decoded


def _write(plan: Plan, samples: dict[str, list[SampleFiles]]) -> list[Problem]:
    """Write every sample, and the tables. Returns what is wrong with files, and then writes no table."""
    config = _config(plan)
    full_sizes = _full_sizes(plan, samples)
    for split, files in samples.items():
        names = ["image"]
        names += ["label_ids"] * all(sample.label_ids is not None for sample in files)
        names += ["instance_ids"] * all(sample.instance_ids is not None for sample in files)
        attributes = {"layout": config.layout, "resize": RESIZE_RULE}
        if split in full_sizes:
            folder = plan.staging / full_size_array(split)
            of_maps = {"layout": config.layout}
            create_split(folder, len(files), full_sizes[split], names[1:], of_maps, config.codec)
        folder = plan.staging / f"{split}.zarr"
        create_split(folder, len(files), config.size, tuple(names), attributes, config.codec)
    parts = parts_of({split: len(files) for split, files in samples.items()})
    made = map_parts(ingest_part, plan, parts, files=[samples[p.split][p.start : p.stop] for p in parts])
    if problems := [Problem(**each) for part in made for each in part.problems]:
        return problems
    for split, files in samples.items():
        rows = [read_table(rows_path(plan, part)) for part in parts if part.split == split]
        write_table(plan.staging / f"{split}.samples.parquet", pd.concat(rows, ignore_index=True))
        # the files of an artifact have other times wherever it is made: they are no part of the key
        if plan.inputs["source"].startswith(OF_FILES):
            write_table(plan.staging / f"{split}.files.parquet", _files_table(_source(plan), files))
    return []


def _files_table(source: Source, samples: list[SampleFiles]) -> pd.DataFrame:
    """id → what the files of a sample look like from outside: for an ingest that goes on from this one."""
    looks = [fingerprint(source.looks(_paths(sample))) for sample in samples]
    return pd.DataFrame({"id": [sample.id for sample in samples], "fingerprint": looks})


class Checked(BaseModel):
    """What is wrong with the files of a part. As a record of Prefect's it is valid only when nothing is.

    A file that could not be read may be readable by now, with the same size and time.
    """

    problems: list[dict[str, str]] = []

    @model_validator(mode="after")
    def _all_is_well(self) -> Checked:
        if self.problems:
            raise ValueError("problems are looked for anew")
        return self


class IngestedPart(StoredPart, Checked):
    """A part that is written, or what is wrong with its files."""


@stage_task(name="check", task_run_name="check {part.split} {part.start}–{part.stop}")
def check_part(plan: Plan, part: Part, files: list[SampleFiles]) -> Checked:
    """What is wrong with the files of one part."""
    source, config = _source(plan), _config(plan)
    problems = [vars(problem) for sample in files for problem in check_sample(source, sample, config)]
    return Checked.model_construct(problems=problems)


@stage_task(name="ingest", task_run_name="ingest {part.split} {part.start}–{part.stop}")
def ingest_part(plan: Plan, part: Part, files: list[SampleFiles]) -> IngestedPart:
    """Decode, check, resize and write one shard, and the rows of its samples; or tell what is wrong."""
    problems: list[Problem] = []
    if not part_is_made(plan, part):
        problems = _make_part(plan, part, files)
    return IngestedPart.model_construct(plan=plan, part=part, problems=[vars(each) for each in problems])


def _make_part(plan: Plan, part: Part, files: list[SampleFiles]) -> list[Problem]:
    source, config, earlier = _source(plan), _config(plan), earlier_dataset(plan)
    taken = [NEW] * len(files)
    if earlier is not None:
        looks = (fingerprint(source.looks(_paths(sample))) for sample in files)
        taken = [
            earlier.unchanged(part.split, sample.id, look) for sample, look in zip(files, looks, strict=True)
        ]
        if earlier.take_shard(plan, part, taken, rows_path(plan, part)):
            return []
    new = (path for sample, row in zip(files, taken, strict=True) if row == NEW for path in _paths(sample))
    # read ahead, so that neither a slow disk nor an archive is waited for
    with IngestedShard(plan, part) as shard, ReadAhead(source, new) as ahead:
        for sample, row in zip(files, taken, strict=True):
            if row != NEW and earlier is not None and shard.take(earlier, row):
                continue
            try:
                shard.load(ahead, sample, config)
            except SourceError as error:
                shard.problems += error.problems
        if not shard.problems:
            shard.put()
        return shard.problems


def _paths(files: SampleFiles) -> list[str]:
    return [path for path in (files.image, files.label_ids, files.instance_ids) if path is not None]


def _source(plan: Plan) -> Source:
    assert plan.place is not None, "an ingest reads from somewhere"
    return _opened(plan.place, plan.inputs["source"])


@lru_cache(maxsize=4)
def _opened(place: Path, identity: str) -> Source:
    """`identity` is there so that a long-lived process opens a source anew that changed since."""
    return open_source(place)
