"""What the run's page shows, and that nothing happens outside of a run."""

from __future__ import annotations

from typing import Any

import pytest

from segspade_core.config import ReportConfig, ScoreConfig
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table
from tasks import run_page
from tasks.reporting import plan_report, write_report
from tasks.scoring import plan_score, score
from tasks.stage import commit, making


@pytest.fixture
def scores(hand_made: Any, parts_run_here: None) -> ArtifactRef:
    plan = plan_score(hand_made.workspace, hand_made.journeys, ScoreConfig(splits=("train", "test")))
    with making(plan) as work:
        return commit.fn(plan, work, **score(plan)).ref


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would be sent to Prefect."""
    sent: list[dict[str, Any]] = []
    for name in ("create_table_artifact", "create_markdown_artifact", "create_link_artifact"):
        monkeypatch.setattr(run_page, name, lambda **fields: sent.append(fields))
    return sent


@pytest.fixture
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_page.FlowRunContext, "get", lambda: object())


@pytest.mark.usefixtures("in_a_run")
def test_scores_are_a_row_for_each_split_and_comparison(
    hand_made: Any, scores: ArtifactRef, shown: list[dict[str, Any]]
) -> None:
    run_page.show_scores(hand_made.workspace, scores)
    table, _ = shown
    assert table["key"] == "scores"
    assert [(row["split"], row["comparison"]) for row in table["table"]] == [
        ("train", "segmenter"),
        ("train", "painted_true"),
        ("train", "painted_predicted"),
        ("train", "cycle"),
        ("test", "cycle"),
    ]
    assert all(row["pixel accuracy"].endswith("%") for row in table["table"])
    assert table["table"][3]["boundary F1"].endswith("%")
    assert table["table"][0]["boundary F1"] == ""


@pytest.mark.usefixtures("in_a_run")
def test_quality_of_painting_is_a_row_a_score_with_all_that_moves_it(
    hand_made: Any, scores: ArtifactRef, shown: list[dict[str, Any]]
) -> None:
    """Fault: a column that only some rows have, which the UI would not show."""
    run_page.show_scores(hand_made.workspace, scores)
    _, table = shown
    assert table["key"] == "painting"
    assert "FID and KID are left out, as there were no weights of Inception" in table["description"]
    rows = table["table"]
    assert len(rows) == 3 * 8
    assert len({tuple(row) for row in rows}) == 1
    by_score = {(row["split"], row["painted from"], row["score"]): row for row in rows}
    fid = by_score["train", "true maps", "FID"]
    assert fid["value"] == "–"
    assert fid["note"].startswith("FID and KID are left out")
    own = by_score["test", "predicted maps", "Fréchet distance of segmenter features (not FID)"]
    assert (own["count"], own["size"], own["better"]) == (3, "16x32", "lower")
    assert float(own["value"]) > 0  # small, but not shown as nothing
    assert "software torch-fidelity" in own["settings"]


@pytest.mark.usefixtures("in_a_run")
def test_samples_stay_below_what_the_page_takes(
    hand_made: Any, scores: ArtifactRef, shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: the limit holds for each split, and the page of two is twice as long."""
    monkeypatch.setattr(run_page, "URI_LIMIT_BYTES", 12_000)
    report = ArtifactRef(kind="report", key="0" * 16)
    run_page.show_samples(hand_made.workspace, scores, report, "/pages")
    (panel,) = shown
    assert panel["key"] == "samples"
    assert len(panel["markdown"]) < 12_000
    assert panel["markdown"].count("](data:image/jpeg;base64,") == 2
    # the test split has no true maps, so it has no column for them
    assert panel["markdown"].count("true map") == 1
    assert f"[train000](/pages/{report}/inspector.html#train/train000)" in panel["markdown"]


@pytest.mark.usefixtures("in_a_run")
def test_report_is_linked_and_its_path_told(
    hand_made: Any, scores: ArtifactRef, shown: list[dict[str, Any]]
) -> None:
    plan = plan_report(hand_made.workspace, scores, ReportConfig(samples=1))
    with making(plan) as work:
        report = commit.fn(plan, work, **write_report.fn(plan)).ref
    run_page.show_report(hand_made.workspace, report, None)
    run_page.show_report(hand_made.workspace, report, "/pages")
    link, served = shown
    page = hand_made.workspace / "artifacts" / "report" / report.key / "report.html"
    assert page.exists()
    assert link["link"] == page.as_uri()
    assert str(page) in link["description"]
    # where the server shows it, the link needs no file
    assert served["link"] == f"/pages/{report}/report.html"
    assert f"[Every frame](/pages/{report}/inspector.html)" in served["description"]


def test_nothing_happens_outside_of_a_run(
    hand_made: Any, scores: ArtifactRef, shown: list[dict[str, Any]]
) -> None:
    run_page.show_scores(hand_made.workspace, scores)
    run_page.show_samples(hand_made.workspace, scores, scores, None)
    run_page.show_report(hand_made.workspace, scores, None)
    assert shown == []


@pytest.mark.usefixtures("in_a_run")
def test_iou_is_a_row_a_class_that_occurs_and_a_column_a_comparison(
    hand_made: Any, scores: ArtifactRef, shown: list[dict[str, Any]]
) -> None:
    """Fault: classes in the order of their names, absent ones as 0, columns in each other's place."""
    run_page.show_classes(hand_made.workspace, scores)
    (table,) = shown
    assert table["key"] == "iou-per-class"
    assert [row["class"] for row in table["table"]] == ["road", "building", "vegetation", "sky", "car"]
    per_class = read_table(Store(hand_made.workspace).path(scores) / "per_class.parquet")
    wanted = per_class[
        (per_class["name"] == "sky")
        & (per_class["class_set"] == "ids")
        & (per_class["comparison"] == "cycle")
        & (per_class["split"] == "train")
    ]["iou"].item()
    assert table["table"][3]["train, cycle"] == f"{wanted:.1%}"
    assert set(table["table"][0]) == {
        "class",
        *(f"train, {name}" for name in ("segmenter", "painted true", "painted predicted", "cycle")),
        "test, cycle",
    }


@pytest.mark.usefixtures("in_a_run")
def test_lineage_is_a_row_an_artifact_in_the_order_they_were_made(
    hand_made: Any, scores: ArtifactRef, shown: list[dict[str, Any]]
) -> None:
    run_page.show_lineage(hand_made.workspace, scores)
    (table,) = shown
    store = Store(hand_made.workspace)
    assert [row["artifact"] for row in table["table"]] == [str(ref) for ref in store.lineage(scores)]
    assert table["table"][-1]["stage"] == "score"
    assert str(hand_made.journeys[0].dataset) in table["table"][-1]["made from"]
    assert list(table["table"][0])[-1] == "made from"  # what is long hides what stands behind it
