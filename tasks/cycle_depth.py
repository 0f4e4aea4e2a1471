"""Tell how far a split has drifted after every round of a cycle, out of its label maps of all rounds."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from segspade_core.config import CycleDepthConfig, RuntimeConfig
from segspade_core.errors import InputError
from segspade_core.figures import svg
from segspade_core.figures.cycle_depth import depth_plot
from segspade_core.figures.cycle_depth_page import render_depth
from segspade_core.figures.film_strip import FilmSample, film_strip, shown_rounds
from segspade_core.figures.journey import choose_samples
from segspade_core.metrics.cycle_depth import DepthTally
from segspade_core.metrics.cycle_depth_tables import Depth, summarise_depth
from storage.arrays import SplitArray
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import write_table
from tasks.plan import Part, Plan, StoredPart, marker, part_is_made, parts_of
from tasks.runners import sum_parts
from tasks.splits import names_of, open_input, read_rows
from tasks.stage import map_parts, stage_task

REVISION = 2
PAGE, PLOT, SUMMARY = "depth.html", "depth.svg", "depth.json"


class DepthJourney(BaseModel):
    """All that became of one split: maps of rounds 0 to K, and the paintings of rounds 1 to K."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: ArtifactRef
    segmenter: ArtifactRef
    generator: ArtifactRef
    maps: tuple[ArtifactRef, ...] = Field(min_length=2)
    paintings: tuple[ArtifactRef, ...] = Field(min_length=1)

    @property
    def inputs(self) -> dict[str, str]:
        """Name → 'kind/key'."""
        models = {name: str(getattr(self, name)) for name in ("dataset", "segmenter", "generator")}
        maps = {_maps(at): str(ref) for at, ref in enumerate(self.maps)}
        return models | maps | {_painting(at): str(ref) for at, ref in enumerate(self.paintings, start=1)}


def plan_cycle_depth(
    workspace: Path, journey: DepthJourney, config: CycleDepthConfig, runtime: RuntimeConfig | None = None
) -> Plan:
    """What looking at the maps of all rounds makes.

    Raises:
        InputError: there are other rounds than the config says.
    """
    if (len(journey.maps), len(journey.paintings)) != (config.rounds + 1, config.rounds):
        raise InputError(
            f"{config.rounds} rounds want {config.rounds + 1} maps and {config.rounds} paintings; "
            f"there are {len(journey.maps)} and {len(journey.paintings)}"
        )
    return Plan(
        workspace=workspace,
        stage="cycle-depth",
        kind="depth",
        revision=REVISION,
        config=config.model_dump(mode="json"),
        inputs=journey.inputs,
        runtime=runtime or RuntimeConfig(),
    )


def tell_depth(plan: Plan) -> dict[str, Any]:
    """Count every sample, make tables and pictures. Returns 'counts' and 'metrics' for the manifest."""
    config = CycleDepthConfig(**plan.config)
    counts = {config.split: len(_array(plan, _maps(0), "label_ids"))}
    parts = parts_of(counts)
    map_parts(count_part, plan, parts)
    tally = sum_parts(plan.runtime, [marker(plan, part) for part in parts], _read_tally, operator.add)
    depth = summarise_depth(tally, config.rest, config.dead, config.least_pixels)
    put_bytes(plan.staging / SUMMARY, (json.dumps(depth.summary, indent=2, allow_nan=False) + "\n").encode())
    for name in ("per_round", "per_class", "per_sample"):
        write_table(plan.staging / f"{name}.parquet", getattr(depth, name))
    _draw(plan, config, depth)
    last, deaths = depth.summary["by_round"][-1], depth.summary["deaths"]["classes"]
    metrics = {
        "accuracy_first": last["accuracy_first"],
        "miou_first": last["miou_first"],
        "changed": last["changed"],
        "at_rest_since": depth.summary["rest"]["since"],
        "died": [death["name"] for death in deaths],
    }
    return {"counts": counts, "metrics": metrics}


@stage_task(name="cycle-depth", task_run_name="cycle-depth {part.split} {part.start}–{part.stop}")
def count_part(plan: Plan, part: Part) -> StoredPart:
    """Count the samples of one shard, one after the other. The tally is the marker."""
    if not part_is_made(plan, part):
        config = CycleDepthConfig(**plan.config)
        arrays = [_array(plan, _maps(at), "label_ids") for at in range(config.rounds + 1)]
        ids = _ids(plan, config.split)
        tally = DepthTally(config.rounds)
        for row in range(part.start, part.stop):
            # one map at a time: a shard of fifty rounds would not fit into the memory
            tally.add(ids[row], (array[row] for array in arrays), config.boundary_tolerance)
        put_bytes(marker(plan, part), tally.to_json().encode())
    return StoredPart(plan=plan, part=part)


def read_depth(workspace: Path, depth: ArtifactRef) -> dict[str, Any]:
    """What `metrics.cycle_depth_tables` says of a cycle, from a depth artifact.

    Raises:
        DamagedArtifact: a file of it is missing or altered.
    """
    store = Store(workspace)
    store.check_files(depth)
    return dict(json.loads((store.path(depth) / SUMMARY).read_bytes()))


def _read_tally(path: Path) -> DepthTally:
    return DepthTally.from_json(path.read_bytes())


def _draw(plan: Plan, config: CycleDepthConfig, depth: Depth) -> None:
    plot = depth_plot(
        depth.per_round, depth.per_class, depth.summary["deaths"]["classes"], config.least_pixels
    )
    shown = shown_rounds(config.rounds)
    film = film_strip(list(_film(plan, config, shown)), shown)
    models = {name: plan.inputs[name] for name in ("dataset", "segmenter", "generator")}
    paint = plan.store.manifest(plan.input(_painting(1))).config
    asked = {
        name.replace("_", " "): str(paint[name])
        for name in ("style", "city", "time_of_day")
        if paint.get(name) is not None
    }
    about = models | {"split": config.split} | asked
    put_bytes(plan.staging / PLOT, svg.standalone(plot).encode())
    put_bytes(plan.staging / "filmstrip.png", film)
    put_bytes(plan.staging / PAGE, render_depth(depth.summary, depth.per_class, about, plot, film).encode())


def _film(plan: Plan, config: CycleDepthConfig, rounds: Sequence[int]) -> Iterator[FilmSample]:
    """Some frames: by day, dusk and night where that is known."""
    times = names_of(read_rows(plan.workspace, plan.input(_maps(0)), config.split)["time_of_day"])
    ids = _ids(plan, config.split)
    for row in choose_samples(times, config.samples):
        images = [_array(plan, _painting(at) if at else "dataset", "image")[row] for at in rounds]
        maps = [_array(plan, _maps(at), "label_ids")[row] for at in rounds]
        yield FilmSample(f"{ids[row]}  {times[row] or ''}".strip(), images, maps)


def _ids(plan: Plan, split: str) -> list[str]:
    return [str(id) for id in read_rows(plan.workspace, plan.input(_maps(0)), split)["id"]]


def _array(plan: Plan, name: str, array: str) -> SplitArray:
    return open_input(plan.workspace, plan.input(name), plan.config["split"], array)[array]


def _maps(at: int) -> str:
    return f"round_{at:02}.maps"


def _painting(at: int) -> str:
    return f"round_{at:02}.painting"
