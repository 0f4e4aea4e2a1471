"""What the page of a run shows of its data, of drift, and of a decision."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from handmade import commit

from segspade_core.figures.drift import drift_figure
from segspade_core.metrics.drift import compare_samples
from segspade_core.metrics.statistics import sample_row
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.tables import write_table
from tasks import retrain_page


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(retrain_page, "create_markdown_artifact", lambda **fields: sent.append(fields))
    return sent


@pytest.fixture
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrain_page.FlowRunContext, "get", lambda: object())


def samples(split: str, city: str | None, level: int, labels: int | None, count: int = 4) -> pd.DataFrame:
    image = np.full((4, 4, 3), level, np.uint8)
    ids = None if labels is None else np.full((4, 4), labels, np.uint8)
    row = {"split": split, "id": "x", "city": city, "time_of_day": None, "source_sha256": "0"}
    return pd.DataFrame([row | sample_row(image, ids)] * count)


def test_nothing_is_shown_outside_of_a_run(workspace: Path, shown: list[dict[str, Any]]) -> None:
    nothing = ArtifactRef(kind="statistics", key="0" * 16)
    for show in (retrain_page.show_dataset, retrain_page.show_drift, retrain_page.show_decision):
        show(workspace, nothing)
    assert shown == []


@pytest.mark.usefixtures("in_a_run")
def test_the_card_counts_and_measures_every_split(workspace: Path, shown: list[dict[str, Any]]) -> None:
    """Fault: shares of one split under another's name; a split without labels breaks the card."""
    table = pd.concat(
        [
            samples("train", "ulm", 100, 7, 1200),
            samples("val", "bonn", 50, 23),
            samples("test", None, 10, None),
        ]
    )
    dataset = commit(workspace, "dataset")
    made = commit(
        workspace,
        "statistics",
        write=lambda folder: write_table(folder / "samples.parquet", table),
        dataset=dataset,
    )
    retrain_page.show_dataset(workspace, made)
    (card,) = shown
    assert (card["key"], card["description"]) == ("dataset", f"Dataset `{dataset}`")
    lines = card["markdown"].splitlines()
    assert lines[0] == "| | train | val | test |"
    for line in (
        "| samples | 1,200 | 4 | 4 |",
        "| cities | ulm | bonn |  |",
        "| brightness, mean | 100.0 | 50.0 | 10.0 |",
        "| road | 100.0% | 0.0% |  |",
        "| sky | 0.0% | 100.0% |  |",
    ):
        assert line in lines
    assert not any("times of day" in line for line in lines)


@pytest.mark.usefixtures("in_a_run")
def test_drift_is_a_sentence_and_a_plot(workspace: Path, shown: list[dict[str, Any]]) -> None:
    found = compare_samples(samples("train", "ulm", 100, 7, 40), samples("train", "ulm", 30, 7, 9))
    figure = drift_figure(found, 40, 9)
    summary = {"before": 40, "new": 9, "gone": 0, "drifted": [one.name for one in found if one.drifted]}

    def write(folder: Path) -> None:
        put_bytes(folder / "drift.svg", figure.encode())
        put_bytes(folder / "drift.json", json.dumps(summary).encode())

    retrain_page.show_drift(workspace, commit(workspace, "drift", write=write))
    (page,) = shown
    assert page["markdown"].startswith("DRIFT in 9 new training samples: brightness differs from the 40 that")
    drawing = base64.b64decode(page["markdown"].partition("base64,")[2].rstrip(")")).decode()
    assert "brightness" in drawing
    assert "DRIFT" in drawing
    assert "trained on (40)" in drawing


@pytest.mark.usefixtures("in_a_run")
@pytest.mark.parametrize(("promote", "heading"), [(True, "### Promoted"), (False, "### Kept")])
def test_a_decision_names_both_models_and_the_reason(
    workspace: Path, shown: list[dict[str, Any]], promote: bool, heading: str
) -> None:
    before, now = (commit(workspace, "segmenter", name) for name in ("before", "now"))
    verdict = {"promote": promote, "reason": "mIoU as it is", "champion": 0.25, "challenger": 0.5}
    made = commit(
        workspace,
        "decision",
        write=lambda folder: put_bytes(folder / "decision.json", json.dumps(verdict).encode()),
        champion=before,
        challenger=now,
    )
    retrain_page.show_decision(workspace, made)
    (page,) = shown
    lines = page["markdown"].splitlines()
    assert lines[0] == heading
    assert "Both models on the same frames: mIoU as it is." in lines
    assert f"| in use before | `{before}` | 25.00% |" in lines
    assert f"| challenger | `{now}` | 50.00% |" in lines
