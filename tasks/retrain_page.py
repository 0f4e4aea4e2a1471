"""What the page of a run shows of its data and of a decision: dataset card, drift, promotion.

As in `run_page`, keys stay the same from run to run, and outside of a flow run nothing happens.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext

from segspade_core.figures.svg import data_uri
from segspade_core.labels import NAMES
from segspade_core.metrics.statistics import IMAGE_MEASURES, label_columns
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.deciding import read_decision
from tasks.describing import read_samples
from tasks.drifting import FIGURE, read_drift, sentence_on

DATASET_KEY, DRIFT_KEY, DECISION_KEY = "dataset", "drift", "promotion"
_LABELS = 12  # in the card, the most frequent first


def show_dataset(workspace: Path, statistics: ArtifactRef) -> None:
    """A card: how many samples of each split, where and when, how they look, which labels they hold."""
    if FlowRunContext.get() is None:
        return
    manifest = Store(workspace).manifest(statistics)
    create_markdown_artifact(
        key=DATASET_KEY,
        markdown=_card(read_samples(workspace, statistics)),
        description=f"Dataset `{manifest.inputs['dataset']}`",
    )


def _card(samples: pd.DataFrame) -> str:
    splits = list(samples["split"].unique())
    by_split = {split: samples[samples["split"] == split] for split in splits}
    head = "| | " + " | ".join(splits) + " |\n|---|" + "---:|" * len(splits)
    rows = [("samples", [f"{len(rows):,}" for rows in by_split.values()])]
    for column, name in (("city", "cities"), ("time_of_day", "times of day")):
        told = [sorted(rows[column].dropna().unique()) for rows in by_split.values()]
        if any(told):
            rows.append((name, [", ".join(map(str, names[:8])) + " …" * (len(names) > 8) for names in told]))
    for name in IMAGE_MEASURES:
        rows.append((f"{name}, mean", [f"{rows[name].mean():.1f}" for rows in by_split.values()]))
    parts = [head, *(f"| {name} | {' | '.join(values)} |" for name, values in rows)]
    labelled = {split: rows for split, rows in by_split.items() if set(label_columns()) <= set(rows)}
    if labelled:
        parts += ["", "Share of pixels:", "", head, *_label_rows(by_split)]
    return "\n".join(parts)


def _label_rows(by_split: dict[str, pd.DataFrame]) -> list[str]:
    totals = pd.DataFrame({split: rows[label_columns()].sum() for split, rows in by_split.items()})
    shares = totals / totals.sum()
    shares.index = pd.Index([*NAMES, "none"])
    order = shares.mean(axis=1).sort_values(ascending=False, kind="stable").index[:_LABELS]
    return [f"| {name} | {' | '.join(_share(value) for value in shares.loc[name])} |" for name in order]


def _share(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1%}"


def show_drift(workspace: Path, drift: ArtifactRef) -> None:
    """The sentence and the plot."""
    if FlowRunContext.get() is None:
        return
    uri = data_uri((Store(workspace).path(drift) / FIGURE).read_text())
    sentence = sentence_on(read_drift(workspace, drift))
    create_markdown_artifact(
        key=DRIFT_KEY,
        markdown=f"{sentence[0].upper()}{sentence[1:]}.\n\n![drift]({uri})",
        description=f"`{drift}`",
    )


def show_decision(workspace: Path, decision: ArtifactRef) -> None:
    """The verdict, its reason, and the two models."""
    if FlowRunContext.get() is None:
        return
    verdict = read_decision(workspace, decision)
    inputs = Store(workspace).manifest(decision).inputs
    lines = [
        f"### {'Promoted' if verdict['promote'] else 'Kept'}",
        "",
        f"Both models on the same frames: {verdict['reason']}.",
        "",
        "| | model | score |",
        "|---|---|---:|",
        f"| in use before | `{inputs['champion']}` | {verdict['champion']:.2%} |",
        f"| challenger | `{inputs['challenger']}` | {verdict['challenger']:.2%} |",
    ]
    create_markdown_artifact(key=DECISION_KEY, markdown="\n".join(lines), description=f"`{decision}`")
