"""What the page of a run shows in the Prefect UI: scores as a table, some frames, where the report lies.

The keys stay the same from run to run, so that the UI groups the versions. Outside of a flow run nothing
happens: the same code serves tests and scripts without a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext

from segspade_core.figures.journey import JourneySample
from segspade_core.figures.painting import FROM, painting_table
from segspade_core.figures.panels import URI_LIMIT_BYTES, sample_panel
from segspade_core.metrics.painting_names import ABOUT, show
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table
from tasks.frames import journey_samples, read_summary
from tasks.inspecting import PAGE as INSPECTOR
from tasks.reporting import PAGE

SCORES_KEY, PAINTING_KEY, SAMPLES_KEY, REPORT_KEY = "scores", "painting", "samples", "report"
CLASSES_KEY, LINEAGE_KEY = "iou-per-class", "lineage"

_COLUMNS = ("photo", "true", "predicted", "painted_predicted", "second")
_CAPTIONS = ("photograph", "true map", "predicted map", "painted from it", "second map")
_FRAMES = 3


def show_scores(workspace: Path, scores: ArtifactRef) -> None:
    """The scores as two tables: a row a split and comparison, and a row a split, painting and score."""
    if FlowRunContext.get() is None:
        return
    summary = read_summary(workspace, scores)
    rows = [
        {"split": split, "comparison": comparison, **_figures(row)}
        for split, comparisons in summary["splits"].items()
        for comparison, row in comparisons.items()
    ]
    create_table_artifact(key=SCORES_KEY, table=rows, description=f"Scores `{scores}`")
    painting = summary.get("painting", {})
    told = painting_table(painting)
    if told is not None:
        what = f"Quality of painting: photographs against painted images. Scores `{scores}`"
        create_table_artifact(
            key=PAINTING_KEY,
            table=list(_painting_rows(painting)),
            description="\n\n".join([what, *(f"{note}." for note in told.left_out)]),
        )


def show_classes(workspace: Path, scores: ArtifactRef) -> None:
    """IoU of every class: a row a class, a column a split and comparison."""
    if FlowRunContext.get() is None:
        return
    table = read_table(Store(workspace).path(scores) / "per_class.parquet")
    there = table[(table["class_set"] == "ids") & ~table["absent"]]
    wide = there.pivot_table("iou", index=["class_id", "name"], columns=["split", "comparison"], sort=False)
    wide = wide.sort_index(level="class_id")
    rows = [
        {"class": name}
        | {
            f"{split}, {comparison.replace('_', ' ')}": "" if pd.isna(value) else f"{value:.1%}"
            for (split, comparison), value in row.items()
        }
        for (_, name), row in wide.iterrows()
    ]
    create_table_artifact(key=CLASSES_KEY, table=rows, description=f"IoU per class, of scores `{scores}`")


def show_lineage(workspace: Path, report: ArtifactRef) -> None:
    """All that a report was made from, in the order it was made."""
    if FlowRunContext.get() is None:
        return
    store = Store(workspace)
    rows = []
    for ref in store.lineage(report):
        if store.exists(ref):
            manifest = store.manifest(ref)
            rows.append(
                {
                    "stage": manifest.stage,
                    "artifact": str(ref),
                    "seconds": f"{manifest.seconds:.1f}",
                    "made (UTC)": manifest.created[:19],
                    "made from": ", ".join(manifest.inputs.values()),  # last: it is long
                }
            )
    create_table_artifact(key=LINEAGE_KEY, table=rows, description=f"What `{report}` was made from")


def show_samples(workspace: Path, scores: ArtifactRef, report: ArtifactRef, pages: str | None) -> None:
    """Some frames of every split, in the page itself: an image artifact would print its address as text.

    Args:
        report: whose inspector shows them closer.
        pages: as `page_link` takes it.
    """
    if FlowRunContext.get() is None:
        return
    splits = list(read_summary(workspace, scores)["splits"])
    inspector = page_link(workspace, report, INSPECTOR, pages)
    sections = []
    for split in splits:
        samples = journey_samples(workspace, scores, split, _FRAMES)
        sections.append(f"### {split}\n\n{_panel(samples, split, len(splits), inspector)}")
    create_markdown_artifact(key=SAMPLES_KEY, markdown="\n\n".join(sections), description=f"Of `{scores}`")


def show_report(workspace: Path, report: ArtifactRef, pages: str | None) -> None:
    """The report, and how its inspector and the files are found. `pages`: as `page_link` takes it."""
    if FlowRunContext.get() is None:
        return
    page = Store(workspace).path(report).absolute() / PAGE
    inspector = page_link(workspace, report, INSPECTOR, pages)
    create_link_artifact(
        key=REPORT_KEY,
        link=page_link(workspace, report, PAGE, pages),
        link_text=f"Report {report.key}",
        description=f"[Every frame]({inspector}). The page is the file `{page}`.",
    )


def page_link(workspace: Path, ref: ArtifactRef, page: str, pages: str | None) -> str:
    """Address of a page of an artifact, for the Prefect UI.

    Args:
        pages: where the server shows pages of the workspace; None: it does not, and the address is of the
            file, which browsers open only when a person copies it.
    """
    if pages is None:
        return (Store(workspace).path(ref).absolute() / page).as_uri()
    return f"{pages}/{ref}/{page}"


def _figures(row: dict[str, Any]) -> dict[str, str]:
    figures = {
        "samples": row["samples"],
        "pixel accuracy": _percent(row["ids"]["pixel_accuracy"]),
        "mIoU": _percent(row["ids"]["miou"]),
        "accuracy, 19 classes": _percent(row["train_ids"]["pixel_accuracy"]),
        "mIoU, 19 classes": _percent(row["train_ids"]["miou"]),
    }
    # in every row: the UI takes the columns of a table from its first
    ratio = row.get("boundary_length_ratio")
    figures["boundary F1"] = _percent(row.get("boundary_f1"))
    figures["boundary length ratio"] = "" if ratio is None else f"{ratio:.2f}"
    return figures


def _painting_rows(painting: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for split, paintings in painting.items():
        for name, row in paintings.items():
            for score, told in row["scores"].items():
                yield {
                    "split": split,
                    "painted from": FROM[name],
                    "score": ABOUT[score].label,
                    "value": show(score, told["value"]),
                    "better": ABOUT[score].better,
                    "count": told["count"],
                    "size": told["size"],
                    "interpolation": told["interpolation"],
                    "seen through": told["extractor"],
                    "settings": ", ".join(f"{key} {value}" for key, value in told["settings"].items()),
                    "note": told["note"],
                }


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _panel(samples: list[JourneySample], split: str, splits: int, inspector: str) -> str:
    shown = [
        (caption, name)
        for caption, name in zip(_CAPTIONS, _COLUMNS, strict=True)
        if all(getattr(sample, name) is not None for sample in samples)
    ]
    rows = [[getattr(sample, name) for _, name in shown] for sample in samples]
    uri = sample_panel(rows, limit_bytes=URI_LIMIT_BYTES // splits - 1000)
    names = ", ".join(f"[{sample.id}]({inspector}#{split}/{quote(sample.id, '')})" for sample in samples)
    return f"{' · '.join(caption for caption, _ in shown)}\n\n![frames of {split}]({uri})\n\n{names}"
