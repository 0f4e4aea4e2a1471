"""The report shows what the scores were made from, and only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import handmade
import pandas as pd
import pytest

from segspade_core.config import ReportConfig, ScoreConfig
from segspade_core.errors import InputError
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import write_table
from tasks.frames import journey_samples
from tasks.plan import Plan
from tasks.reporting import plan_report, write_report
from tasks.scoring import plan_score, score
from tasks.stage import commit, making


@pytest.fixture
def scores(hand_made: Any, parts_run_here: None) -> ArtifactRef:
    plan = plan_score(hand_made.workspace, hand_made.journeys, ScoreConfig(splits=("train", "test")))
    with making(plan) as work:
        return commit.fn(plan, work, **score(plan)).ref


def write(plan: Plan) -> str:
    with Store(plan.workspace).writer(plan.ref):
        write_report.fn(plan)
    return (plan.staging / "report.html").read_text()


def test_frames_are_the_rows_they_say_they_are(hand_made: Any, scores: ArtifactRef) -> None:
    """Fault: pictures of one frame beside those of another, or a painted image from the wrong maps."""
    samples = journey_samples(hand_made.workspace, scores, "train", 5)
    assert len(samples) == 5
    names = {"photo": "photo", "true": "true", "predicted": "predicted", "second": "cycle"}
    names |= {"painted_true": "painted_true", "painted_predicted": "painted_predicted"}
    for sample in samples:
        row = int(sample.id.removeprefix("train"))
        for picture, array in names.items():
            expected = hand_made.arrays["train", array][row]
            assert (getattr(sample, picture) == expected).all(), (sample.id, picture)
    # the last of the 18 scored frames is the 18th of the dataset's 20, whose time of day is known there
    assert {sample.time_of_day for sample in samples} >= {"day", "dusk"}


def test_a_split_without_labels_has_no_true_pictures(hand_made: Any, scores: ArtifactRef) -> None:
    samples = journey_samples(hand_made.workspace, scores, "test", 9)
    assert [sample.id for sample in samples] == ["test000", "test001", "test002"]
    assert all(sample.true is None and sample.painted_true is None for sample in samples)
    assert all(sample.second is not None for sample in samples)


def test_page_names_every_artifact_and_what_a_reader_must_know(hand_made: Any, scores: ArtifactRef) -> None:
    plan = plan_report(hand_made.workspace, scores, ReportConfig(title="There & back", samples=2))
    page = write(plan)
    for ref in Store(hand_made.workspace).lineage(scores):
        assert str(ref) in page, ref
    assert "There &amp; back" in page
    assert (
        "The generator was trained beforehand, not in this run: shipped:minicity (1,234,567 parameters, "
        "40 epochs, on 1024 photographs, 2.0 hours on cpu)"
    ) in page
    assert "The test split has no label maps: only the two maps of its cycle can be compared." in page
    assert "FID and KID are left out, as there were no weights of Inception" in page
    assert "put https://github.com/toshas/torch-fidelity/" in page
    assert "painted from true maps<br>train, 18 images" in page
    assert "Segmenter: loss" in page
    assert "Generator: losses" not in page  # it was not trained here
    assert (plan.staging / "train.png").read_bytes().startswith(b"\x89PNG")
    assert (plan.staging / "test.png").exists()


def test_the_same_artifacts_give_the_same_bytes(hand_made: Any, scores: ArtifactRef) -> None:
    plan = plan_report(hand_made.workspace, scores, ReportConfig())
    assert write(plan) == write(plan)


def test_scores_of_an_older_version_are_refused(
    hand_made: Any, scores: ArtifactRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a report that ends in a traceback, for want of a table that scores did not have then."""
    monkeypatch.setattr("tasks.scoring.REVISION", 99)
    with pytest.raises(InputError, match=rf"^{scores} were made by an older SegSPADE and lack what a report"):
        plan_report(hand_made.workspace, scores, ReportConfig())


def test_the_key_knows_the_config(hand_made: Any, scores: ArtifactRef) -> None:
    first = plan_report(hand_made.workspace, scores, ReportConfig(samples=2))
    assert first.key != plan_report(hand_made.workspace, scores, ReportConfig(samples=3)).key


@pytest.mark.usefixtures("parts_run_here")
def test_files_that_were_left_out_are_told(hand_made: Any) -> None:
    def leave_out(folder: Path) -> None:
        write_table(folder / "left_out.parquet", pd.DataFrame({"file": ["a.png", "b.png", "b.png"]}))

    store = Store(hand_made.workspace)
    train = hand_made.journeys[0]
    old = store.manifest(train.dataset)
    arrays = {"image": hand_made.arrays["train", "photo"], "label_ids": hand_made.arrays["train", "true"]}
    dataset = handmade.commit(
        hand_made.workspace,
        "dataset",
        "incomplete",
        {"train": arrays},
        leave_out,
        config=old.config,
        counts={"train": 20},
    )
    plan = plan_score(
        hand_made.workspace, [train.model_copy(update={"dataset": dataset})], ScoreConfig(splits=("train",))
    )
    with making(plan) as work:
        scores = commit.fn(plan, work, **score(plan)).ref
    page = write(plan_report(hand_made.workspace, scores, ReportConfig(samples=1)))
    assert "2 files with problems were left out when the dataset was ingested." in page
