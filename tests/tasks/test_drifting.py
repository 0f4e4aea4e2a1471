"""Statistics of a dataset, and drift of what was added to one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from handmade import commit, maps, photographs, run_parts_here

from segspade_core.config import DriftConfig
from segspade_core.metrics.statistics import sample_row
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table, write_table
from tasks.describing import SAMPLES, describe, plan_describe, read_samples
from tasks.drifting import compare, plan_drift, sentence_on


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.describing.map_parts", run_parts_here)


def test_every_sample_of_every_split_is_measured_once(workspace: Path) -> None:
    """Fault: rows of one shard beside the images of another; a split without labels breaks it."""
    images, labels = photographs(1, 20), maps(2, 20)
    dataset = commit(
        workspace,
        "dataset",
        splits={"train": {"image": images, "label_ids": labels}, "test": {"image": photographs(3, 3)}},
        counts={"train": 20, "test": 3},
    )
    plan = plan_describe(workspace, dataset)
    with Store(workspace).writer(plan.ref):
        about = describe(plan)
    assert about["counts"] == {"train": 20, "test": 3}
    table = read_table(plan.staging / SAMPLES)
    assert table["id"].tolist() == [f"train{at:03}" for at in range(20)] + [f"test{at:03}" for at in range(3)]
    for at in (0, 15, 16, 19):
        row = sample_row(images[at], labels[at])
        assert {name: table.loc[at, name] for name in row} == row
    assert table.loc[20:, "pixels_07"].isna().all()


def statistics(
    workspace: Path, name: str, sources: list[int], lighter: int = 0, split: str = "train"
) -> ArtifactRef:
    random = np.random.default_rng(1)
    rows: list[dict[str, Any]] = []
    for source in sources:
        level = int(random.integers(90, 110)) + lighter * (source >= 100)
        image = np.full((4, 4, 3), level, np.uint8) + random.integers(0, 9, (4, 4, 3), dtype=np.uint8)
        known = {"split": split, "id": f"{name}{source}", "city": "a", "time_of_day": None}
        rows.append(
            {**known, "source_sha256": str(source), **sample_row(image, np.full((4, 4), 7, np.uint8))}
        )
    table = pd.DataFrame(rows)
    return commit(workspace, "statistics", name, write=lambda folder: write_table(folder / SAMPLES, table))


def compared(workspace: Path, before: ArtifactRef, now: ArtifactRef) -> dict[str, Any]:
    plan = plan_drift(workspace, before, now, DriftConfig())
    with Store(workspace).writer(plan.ref):
        compare(plan)
    assert (plan.staging / "drift.svg").read_text().startswith("<svg ")
    return dict(json.loads((plan.staging / "drift.json").read_text()))


def test_only_what_was_not_there_before_is_compared(workspace: Path) -> None:
    """Fault: new samples drowned among the old ones; told by their names, which may change."""
    before = statistics(workspace, "before", list(range(40)))
    now = statistics(workspace, "now", [*range(1, 40), *range(100, 110)], lighter=80)
    summary = compared(workspace, before, now)
    assert (summary["before"], summary["new"], summary["gone"]) == (40, 10, 1)
    assert summary["drifted"] == ["brightness"]
    assert sentence_on(summary) == (
        "DRIFT in 10 new training samples: brightness differs from the 40 that the model in use was trained "
        "on; look at them before you trust what is trained now"
    )


def test_more_of_the_same_is_said_to_be_that(workspace: Path) -> None:
    before = statistics(workspace, "before", list(range(40)))
    summary = compared(workspace, before, statistics(workspace, "now", [*range(40), 100]))
    assert sentence_on(summary) == (
        "1 new training sample looks like the 40 that the model in use was trained on"
    )


def test_nothing_new_is_no_drift_and_no_error(workspace: Path) -> None:
    before = statistics(workspace, "before", list(range(40)))
    summary = compared(workspace, before, statistics(workspace, "now", list(range(38))))
    assert summary == {"before": 40, "new": 0, "gone": 2, "drifted": []}
    assert sentence_on(summary) == "no new training samples, 2 gone"


def test_other_splits_do_not_count(workspace: Path) -> None:
    before = statistics(workspace, "before", list(range(40)))
    summary = compared(
        workspace, before, statistics(workspace, "now", list(range(100, 110)), 80, split="val")
    )
    assert (summary["new"], summary["gone"]) == (0, 40)


def test_a_long_list_is_cut() -> None:
    summary = {"before": 9, "new": 3, "gone": 0, "drifted": list("abcdefghi")}
    assert "a, b, c, d, e, f and 3 more differ from the 9 that" in sentence_on(summary)


def test_samples_of_one_split_are_read_alone(workspace: Path) -> None:
    found = statistics(workspace, "x", [1, 2])
    assert read_samples(workspace, found, "train")["id"].tolist() == ["x1", "x2"]
    assert read_samples(workspace, found, "val").empty
