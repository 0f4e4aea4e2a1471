"""Score what became of some splits: maps against the true ones, the cycle's second against its first, and
painted images against the photographs of the same frames."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from segspade_core.config import QualityConfig, RuntimeConfig, ScoreConfig, Split
from segspade_core.errors import InputError
from segspade_core.metrics.painting_names import PAINTINGS
from segspade_core.metrics.summary import summarise
from segspade_core.metrics.tally import Comparison, Tally
from storage.arrays import SplitArray, SplitArrays
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.tables import write_table
from tasks.accelerator import accelerator_turn
from tasks.judges import find_judges, judges_of
from tasks.models import device_name
from tasks.plan import Part, Plan, StoredPart, marker, part_is_made, parts_of
from tasks.runners import sum_parts
from tasks.splits import has_labels, open_input, read_losses, read_rows, true_maps
from tasks.stage import map_parts, stage_task

if TYPE_CHECKING:
    from segspade_core.metrics.painting_summary import PaintingScores

REVISION = 6

_MODELS = ("dataset", "segmenter", "generator")
_MADE = ("predicted", "painted_predicted", "cycle", "painted_true", "resegmented")
# which maps are compared with the true ones; the cycle compares two predicted maps
_AGAINST_TRUE: dict[Comparison, str] = {
    "segmenter": "predicted",
    "painted_true": "resegmented",
    "painted_predicted": "cycle",
}


class SplitJourney(BaseModel):
    """All that became of one split: photograph → predicted → painted → cycle, and true → painted → maps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Split
    dataset: ArtifactRef
    segmenter: ArtifactRef
    generator: ArtifactRef
    predicted: ArtifactRef
    painted_predicted: ArtifactRef
    cycle: ArtifactRef
    painted_true: ArtifactRef | None = None
    resegmented: ArtifactRef | None = None

    @property
    def models(self) -> dict[str, str]:
        """Name → 'kind/key' of what the splits of one score share."""
        return {name: str(getattr(self, name)) for name in _MODELS}

    @property
    def made(self) -> dict[str, str]:
        """Name → 'kind/key' of what was made of this split; names begin with the split's."""
        refs = {name: getattr(self, name) for name in _MADE}
        return {f"{self.split}.{name}": str(ref) for name, ref in refs.items() if ref is not None}


def plan_score(
    workspace: Path,
    journeys: Sequence[SplitJourney],
    config: ScoreConfig,
    runtime: RuntimeConfig | None = None,
) -> Plan:
    """What scoring `config.splits` makes; what 'auto' weights are is found out here, for the key to say.

    Raises:
        InputError: a split has no journey or two, the journeys were made with different models, or a file of
            weights is not there.
    """
    splits = [journey.split for journey in journeys]
    if sorted(splits) != sorted(set(config.splits)):
        raise InputError(
            f"scores of {', '.join(config.splits)} want one journey of each; there are {', '.join(splits)}"
        )
    models = journeys[0].models
    if any(journey.models != models for journey in journeys):
        raise InputError("one score has one dataset, one segmenter and one generator; score the rest apart")
    inputs = dict(models)
    for journey in journeys:
        inputs |= journey.made
    quality, places = find_judges(config.quality)
    return Plan(
        workspace=workspace,
        stage="score",
        kind="scores",
        revision=REVISION,
        config=config.model_dump(mode="json") | {"quality": quality},
        inputs=inputs,
        runtime=runtime or RuntimeConfig(),
        places=places,
    )


def score(plan: Plan) -> dict[str, Any]:
    """Count every sample and make the tables. Returns 'counts', 'metrics' and 'device' for the manifest."""
    splits = plan.config["splits"]
    counts = {split: len(_maps(plan, split, "predicted")["label_ids"]) for split in splits}
    parts = parts_of(counts)
    map_parts(score_part, plan, parts)
    tally = sum_parts(plan.runtime, [marker(plan, part) for part in parts], _read_tally, operator.add)
    scores = summarise(tally, plan.config["boundary_tolerance"], plan.config["resolution"])
    painting = _painting_scores(plan, parts)
    content = json.dumps(scores.summary | {"painting": painting.summary}, indent=2, allow_nan=False) + "\n"
    put_bytes(plan.staging / "scores.json", content.encode())
    for name in ("per_class", "per_category", "confusion", "per_sample"):
        write_table(plan.staging / f"{name}.parquet", getattr(scores, name))
    write_table(plan.staging / "painting.parquet", painting.table)
    write_table(plan.staging / "painting_per_sample.parquet", painting.per_sample)
    metrics = _in_short(scores.summary) | {"painting": _painting_in_short(painting.summary)}
    return {"counts": counts, "metrics": metrics, "device": device_name(plan.runtime)}


@stage_task(name="score", task_run_name="score {part.split} {part.start}–{part.stop}")
def score_part(plan: Plan, part: Part) -> StoredPart:
    """Tally one shard. The tally is the marker: where it is, the part is counted, and its paintings seen."""
    if not part_is_made(plan, part):
        tolerance, resolution = plan.config["boundary_tolerance"], plan.config["resolution"]
        ids = _ids(plan, part)
        losses = read_losses(plan.workspace, plan.input(f"{part.split}.predicted"), part.split)
        tally = Tally()
        for comparison, true, predicted in _comparisons(plan, part.split):
            here = {
                "target": true.get("label_ids"),
                "predicted": predicted.get("label_ids"),
                "instance_ids": true.get("instance_ids"),
                "confidence": predicted.get("confidence"),
            }
            maps = {name: array[part.start : part.stop] for name, array in here.items() if array is not None}
            for row, sample_id in enumerate(ids):
                of_one: dict[str, Any] = {name: stack[row] for name, stack in maps.items()}
                tally.add(
                    part.split,
                    comparison,
                    sample_id,
                    boundary_tolerance=tolerance,
                    resolution=resolution,
                    loss=losses[part.start + row] if losses and comparison == "segmenter" else None,
                    **of_one,
                )
        put_bytes(_looks_file(plan, part), _look(plan, part, ids))
        put_bytes(marker(plan, part), tally.to_json().encode())
    return StoredPart(plan=plan, part=part)


def _read_tally(path: Path) -> Tally:
    return Tally.from_json(path.read_bytes())


def _look(plan: Plan, part: Part, ids: Sequence[str]) -> bytes:
    """What is seen of the paintings of one shard, and of its photographs, as a file."""
    from segspade_core.metrics.painting import look  # here: see segment_part

    photographs = _images(plan, "dataset", part.split)[part.start : part.stop]
    paintings = {
        name: _images(plan, f"{part.split}.{name}", part.split)[part.start : part.stop]
        for name in PAINTINGS
        if f"{part.split}.{name}" in plan.inputs
    }
    with accelerator_turn(plan.runtime):
        return look(part.split, ids, photographs, paintings, judges_of(plan)).to_bytes()


def _looks_file(plan: Plan, part: Part) -> Path:
    """Beside the marker, and there before it: features are of use only until the scores are made of them."""
    return marker(plan, part).with_name(f"{part.name}.looks")


def _painting_scores(plan: Plan, parts: Sequence[Part]) -> PaintingScores:
    from segspade_core.metrics.painting import Looks
    from segspade_core.metrics.painting_summary import summarise_painting

    looks = Looks.sum(Looks.from_bytes(_looks_file(plan, part).read_bytes()) for part in parts)
    height, width = _images(plan, "dataset", parts[0].split).shape[1:3]
    config = QualityConfig(**plan.config["quality"])
    return summarise_painting(looks, config, (height, width), str(plan.input("segmenter")))


def _comparisons(plan: Plan, split: str) -> Iterator[tuple[Comparison, SplitArrays, SplitArrays]]:
    """(comparison, true maps, predicted maps) of a split; without true maps only the cycle is left."""
    dataset = plan.input("dataset")
    if has_labels(plan.workspace, dataset, split):
        true = true_maps(plan.workspace, dataset, split, plan.config["resolution"])
        for comparison, name in _AGAINST_TRUE.items():
            if f"{split}.{name}" in plan.inputs:
                yield comparison, true, _maps(plan, split, name)
    yield "cycle", _maps(plan, split, "predicted"), _maps(plan, split, "cycle")


def _ids(plan: Plan, part: Part) -> list[str]:
    rows = read_rows(plan.workspace, plan.input(f"{part.split}.predicted"), part.split)
    return [str(id) for id in rows["id"].iloc[part.start : part.stop]]


def _images(plan: Plan, name: str, split: str) -> SplitArray:
    return open_input(plan.workspace, plan.input(name), split, "image")["image"]


def _maps(plan: Plan, split: str, name: str) -> SplitArrays:
    return open_input(plan.workspace, plan.input(f"{split}.{name}"), split, "label_ids")


def _in_short(summary: dict[str, Any]) -> dict[str, Any]:
    """Split → comparison → the figures that a list of artifacts shows."""
    return {
        split: {
            comparison: {
                "pixel_accuracy": row["ids"]["pixel_accuracy"],
                "miou": row["ids"]["miou"],
                "miou_19_classes": row["train_ids"]["miou"],
            }
            for comparison, row in comparisons.items()
        }
        for split, comparisons in summary["splits"].items()
    }


def _painting_in_short(summary: dict[str, Any]) -> dict[str, Any]:
    """Split → painting → score → value, of those that there are."""
    return {
        split: {
            painting: {
                name: score["value"] for name, score in row["scores"].items() if score["value"] is not None
            }
            for painting, row in paintings.items()
        }
        for split, paintings in summary.items()
    }
