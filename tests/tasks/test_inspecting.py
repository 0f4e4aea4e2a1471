"""The inspector beside the report: every scored frame is in it, and a killed run draws no sheet twice."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segspade_core.config import ReportConfig, ScoreConfig
from storage.refs import ArtifactRef
from storage.store import Store
from tasks import inspecting
from tasks.plan import Plan
from tasks.reporting import plan_report, write_report
from tasks.scoring import plan_score, score
from tasks.stage import commit, making


@pytest.fixture
def scores(hand_made: Any, parts_run_here: None) -> ArtifactRef:
    plan = plan_score(hand_made.workspace, hand_made.journeys, ScoreConfig(splits=("train", "test")))
    with making(plan) as work:
        return commit.fn(plan, work, **score(plan)).ref


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def write(plan: Plan) -> None:
    with Store(plan.workspace).writer(plan.ref):
        write_report.fn(plan)


def test_every_scored_frame_is_in_it_and_in_its_place(hand_made: Any, scores: ArtifactRef) -> None:
    """Faults: frames beyond a limit are shown; the second sheet begins at the wrong frame."""
    plan = plan_report(hand_made.workspace, scores, ReportConfig(samples=1))
    write(plan)
    folder = plan.staging / "inspector"
    kinds = ("photographs.jpg", "maps.png")
    thumbnails = ("photo", "predicted", "painted_predicted", "disagreement")
    assert files(folder) == {
        *(f"train/0000{number}-{kind}" for number in (0, 1) for kind in kinds),
        *(f"train/0000{number}-thumbnail-{name}.jpg" for number in (0, 1) for name in (*thumbnails, "error")),
        *(f"test/00000-{kind}" for kind in kinds),
        *(f"test/00000-thumbnail-{name}.jpg" for name in thumbnails),
        "train.js",
        "test.js",
    }
    script = (folder / "train.js").read_text()
    data = json.loads(script.partition(" = ")[2].rstrip(";\n"))
    assert data["ids"] == [f"train{row:03}" for row in range(18)]
    assert data["columns"]["maps"] == ["true", "predicted", "error", "second", "disagreement"]
    second = np.asarray(Image.open(io.BytesIO((folder / "train" / "00001-maps.png").read_bytes())))
    height, width = hand_made.arrays["train", "true"].shape[1:]
    assert second.shape == (2 * height, 5 * width)
    for row in (16, 17):
        top = (row - 16) * height
        for column, name in ((0, "true"), (1, "predicted"), (3, "cycle")):
            found = second[top : top + height, column * width : (column + 1) * width]
            np.testing.assert_array_equal(found, hand_made.arrays["train", name][row])
    page = (plan.staging / "report.html").read_text()
    assert '<a href="inspector.html#train/train0' in page
    assert (plan.staging / "inspector.html").exists()


def test_a_killed_run_draws_no_sheet_twice_and_ends_with_the_same_bytes(
    hand_made: Any, scores: ArtifactRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_report(hand_made.workspace, scores, ReportConfig(samples=1))
    write(plan)
    whole = {name: (plan.staging / name).read_bytes() for name in files(plan.staging)}
    (plan.staging / "inspector.html").unlink()
    (plan.staging / "done" / "inspector" / "train" / "00001.json").unlink()
    (plan.staging / "inspector" / "train" / "00001-maps.png").unlink()
    drawn, draw = [], inspecting.draw_sheets

    def counted(pictures: Any, width: int) -> Any:
        drawn.append(len(pictures["photo"]))
        return draw(pictures, width)

    monkeypatch.setattr(inspecting, "draw_sheets", counted)
    write(plan)
    assert drawn == [2]
    assert {name: (plan.staging / name).read_bytes() for name in files(plan.staging)} == whole
