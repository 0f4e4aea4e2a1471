"""Tell whether what was added to a dataset looks like what a model was trained on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from segspade_core.config import DriftConfig, RuntimeConfig
from segspade_core.figures.drift import drift_figure
from segspade_core.metrics.drift import Drift, compare_samples
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import write_table
from tasks.describing import read_samples
from tasks.plan import Plan
from tasks.stage import tell

REVISION = 1
FIGURE = "drift.svg"
_SPLIT = "train"
_NAMED = 6  # measures in the warning; the table has them all


def plan_drift(
    workspace: Path,
    before: ArtifactRef,
    now: ArtifactRef,
    config: DriftConfig,
    runtime: RuntimeConfig | None = None,
) -> Plan:
    """What comparing the statistics of two datasets makes: of the one trained on before, and of today's."""
    return Plan(
        workspace=workspace,
        stage="drift",
        kind="drift",
        revision=REVISION,
        config=config.model_dump(mode="json"),
        inputs={"before": str(before), "now": str(now)},
        runtime=runtime or RuntimeConfig(),
    )


def compare(plan: Plan) -> dict[str, Any]:
    """Compare the new training samples with the old ones. Returns 'counts' and 'metrics' for the manifest.

    A sample is new if its photograph and maps were not there before, whatever it is called.
    """
    config = DriftConfig(**plan.config)
    before, now = (read_samples(plan.workspace, plan.input(name), _SPLIT) for name in ("before", "now"))
    known = set(before["source_sha256"])
    new = now[~now["source_sha256"].isin(known)]
    gone = len(known - set(now["source_sha256"]))
    found = compare_samples(before, new, config.distance, config.p) if len(new) and len(before) else []
    drifted = [drift.name for drift in found if drift.drifted]
    summary = {"before": len(before), "new": len(new), "gone": gone, "drifted": drifted}
    put_bytes(plan.staging / "drift.json", (json.dumps(summary, indent=2) + "\n").encode())
    write_table(plan.staging / "measures.parquet", _table(found))
    put_bytes(plan.staging / FIGURE, drift_figure(found, len(before), len(new)).encode())
    return {"counts": {"before": len(before), "new": len(new)}, "metrics": {"drifted": drifted, "gone": gone}}


def read_drift(workspace: Path, drift: ArtifactRef) -> dict[str, Any]:
    """Its summary: 'before', 'new' and 'gone' samples, and the names of the measures that 'drifted'."""
    return dict(json.loads((Store(workspace).path(drift) / "drift.json").read_bytes()))


def warn_of_drift(workspace: Path, drift: ArtifactRef) -> None:
    """One sentence, to the terminal and to the run's log."""
    tell(sentence_on(read_drift(workspace, drift)))


def sentence_on(summary: dict[str, Any]) -> str:
    """What a summary says, in one sentence."""
    count, drifted = summary["new"], summary["drifted"]
    some = f"{count} new training sample{'s' * (count != 1)}"
    if not count:
        return f"no new training samples, {summary['gone']} gone"
    if not drifted:
        looks = "looks" if count == 1 else "look"
        return f"{some} {looks} like the {summary['before']} that the model in use was trained on"
    names = ", ".join(drifted[:_NAMED]) + (f" and {len(drifted) - _NAMED} more" * (len(drifted) > _NAMED))
    return (
        f"DRIFT in {some}: {names} differ{'s' * (len(drifted) == 1)} from the {summary['before']} that the "
        "model in use was trained on; look at them before you trust what is trained now"
    )


def _table(found: list[Drift]) -> pd.DataFrame:
    rows = []
    for drift in found:
        row = asdict(drift)
        quantiles = {
            f"{side}_{percent}": value
            for side in ("reference", "new")
            for percent, value in zip((5, 25, 50, 75, 95), row.pop(side), strict=True)
        }
        rows.append(row | quantiles)
    return pd.DataFrame(rows)
