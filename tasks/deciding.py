"""Decide between the model in use and a new one, by what both make of the same frames."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from segspade_core.config import DecisionConfig, RuntimeConfig
from segspade_core.errors import InputError
from segspade_core.metrics.confusion import Counts, confusion_of_ids
from segspade_core.metrics.paired import (
    PairedScore,
    accuracy_of_counts,
    class_counts,
    miou_of_counts,
    paired_bootstrap,
)
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.plan import Part, Plan, StoredPart, marker, part_is_made, parts_of
from tasks.splits import has_labels, open_input
from tasks.stage import map_parts, stage_task

REVISION = 1
METRICS = {"miou": miou_of_counts, "pixel_accuracy": accuracy_of_counts}
NAMES = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy"}


class Contest(BaseModel):
    """Two models of one kind, and the label maps that are read by or from each, of one dataset's split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: ArtifactRef
    champion: ArtifactRef
    challenger: ArtifactRef
    champion_maps: ArtifactRef
    challenger_maps: ArtifactRef


def plan_decide(
    workspace: Path, contest: Contest, config: DecisionConfig, runtime: RuntimeConfig | None = None
) -> Plan:
    """What deciding a contest makes.

    Raises:
        InputError: the split has no true maps to decide by.
    """
    if not has_labels(workspace, contest.dataset, config.split):
        raise InputError(
            f"split '{config.split}' of {contest.dataset} has no true label maps to compare models by; give "
            "another with decision.split"
        )
    return Plan(
        workspace=workspace,
        stage="decide",
        kind="decision",
        revision=REVISION,
        config=config.model_dump(mode="json"),
        inputs={name: str(ref) for name, ref in contest},
        runtime=runtime or RuntimeConfig(),
    )


def decide(plan: Plan) -> dict[str, Any]:
    """Count both models' maps against the true ones, and decide. Returns 'counts' and 'metrics'."""
    config = DecisionConfig(**plan.config)
    count = len(_maps(plan, "champion_maps"))
    parts = parts_of({config.split: count})
    map_parts(count_part, plan, parts)
    counts = np.concatenate([np.load(io.BytesIO(marker(plan, part).read_bytes())) for part in parts])
    score = paired_bootstrap(
        counts[:, 0],
        counts[:, 1],
        METRICS[config.metric],
        config.resamples,
        config.confidence,
        config.seed,
    )
    better = score.low > config.margin
    verdict = {"promote": better, **asdict(score), "reason": reason_of(score, config, better)}
    put_bytes(plan.staging / "decision.json", (json.dumps(verdict, indent=2) + "\n").encode())
    return {"counts": {config.split: count}, "metrics": verdict}


@stage_task(name="decide", task_run_name="compare {part.split} {part.start}–{part.stop}")
def count_part(plan: Plan, part: Part) -> StoredPart:
    """Count one shard. The counts, (N, 2, C, 3) of champion and challenger, are the marker."""
    if not part_is_made(plan, part):
        here = slice(part.start, part.stop)
        true = open_input(plan.workspace, plan.input("dataset"), part.split, "label_ids")["label_ids"][here]
        sides = [_maps(plan, name)[here] for name in ("champion_maps", "challenger_maps")]
        counts = np.stack([[_counts(t, p) for p in pair] for t, *pair in zip(true, *sides, strict=True)])
        buffer = io.BytesIO()
        np.save(buffer, counts)
        put_bytes(marker(plan, part), buffer.getvalue())
    return StoredPart(plan=plan, part=part)


def _counts(true: np.ndarray, predicted: np.ndarray) -> Counts:
    return class_counts(confusion_of_ids(true, predicted))


def _maps(plan: Plan, name: str) -> Any:
    return open_input(plan.workspace, plan.input(name), plan.config["split"], "label_ids")["label_ids"]


def reason_of(score: PairedScore, config: DecisionConfig, better: bool) -> str:
    """The verdict as a person would say it."""
    points = 100 * config.margin
    margin = f"the margin of {points:.3g} point{'s' * (abs(points) != 1)}" if points else "zero"
    scores = f"{_percent(score.champion)} → {_percent(score.challenger)}"
    interval = f"{100 * score.confidence:.3g} % interval {100 * score.low:+.1f} to {100 * score.high:+.1f}"
    return (
        f"{NAMES[config.metric]} {scores} on {score.samples} {config.split} frames, "
        f"{100 * score.difference:+.1f} points ({interval}), which {'is' if better else 'is not'} above "
        f"{margin} as a whole"
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def read_decision(workspace: Path, decision: ArtifactRef) -> dict[str, Any]:
    """'promote', 'reason', and the fields of `PairedScore`."""
    return dict(json.loads((Store(workspace).path(decision) / "decision.json").read_bytes()))
