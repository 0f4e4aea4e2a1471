"""Scores: which maps are compared with which, over shards, splits without labels, and limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from segspade_core.config import ScoreConfig
from segspade_core.errors import InputError
from segspade_core.metrics.summary import summarise
from segspade_core.metrics.tally import Comparison, Tally
from storage.store import Store
from storage.tables import read_table
from tasks.scoring import plan_score, score

CONFIG = ScoreConfig(splits=("train", "test"), boundary_tolerance=0.05)
# what each comparison compares, said once more
PAIRS: dict[Comparison, tuple[str, str]] = {
    "segmenter": ("true", "predicted"),
    "painted_true": ("true", "resegmented"),
    "painted_predicted": ("true", "cycle"),
    "cycle": ("predicted", "cycle"),
}


def by_hand(hand_made: Any) -> Tally:
    """Everything counted in one go, from the arrays themselves."""
    tally = Tally()
    for comparison, (target, predicted) in PAIRS.items():
        for split, count in (("train", 18), ("test", 3)):
            if split == "test" and comparison != "cycle":
                continue
            for row in range(count):
                truth, guess = hand_made.arrays[split, target][row], hand_made.arrays[split, predicted][row]
                tally.add(split, comparison, f"{split}{row:03}", truth, guess, CONFIG.boundary_tolerance)
    return tally


@pytest.mark.usefixtures("parts_run_here")
def test_scores_are_those_of_counting_everything_at_once(hand_made: Any) -> None:
    """Fault: maps of the wrong side compared, a shard left out or counted twice, ids one shard off."""
    plan = plan_score(hand_made.workspace, hand_made.journeys, CONFIG)
    with Store(hand_made.workspace).writer(plan.ref):
        about = score(plan)
    expected = summarise(by_hand(hand_made), CONFIG.boundary_tolerance)
    assert json.loads((plan.staging / "scores.json").read_text()) == expected.summary
    for name in ("per_class", "confusion", "per_sample"):
        table = read_table(plan.staging / f"{name}.parquet")
        assert table.equals(getattr(expected, name)), name
    assert about["counts"] == {"train": 18, "test": 3}
    assert set(about["metrics"]["train"]) == set(PAIRS)


@pytest.mark.usefixtures("parts_run_here")
def test_a_split_without_labels_has_its_cycle_alone(hand_made: Any) -> None:
    plan = plan_score(hand_made.workspace, hand_made.journeys, CONFIG)
    with Store(hand_made.workspace).writer(plan.ref):
        metrics = score(plan)["metrics"]
    assert list(metrics["test"]) == ["cycle"]
    assert 0 < metrics["test"]["cycle"]["pixel_accuracy"] < 1


@pytest.mark.usefixtures("parts_run_here")
def test_a_shard_that_is_tallied_is_not_tallied_again(
    hand_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_score(hand_made.workspace, hand_made.journeys, CONFIG)
    with Store(hand_made.workspace).writer(plan.ref):
        first = score(plan)
        monkeypatch.setattr("tasks.scoring.has_labels", lambda *_: pytest.fail("looked at the maps again"))
        assert score(plan) == first


def test_the_key_knows_every_map_and_the_tolerance(hand_made: Any) -> None:
    def key(journeys: Any, config: ScoreConfig) -> str:
        return plan_score(hand_made.workspace, journeys, config).key

    train, test = hand_made.journeys
    keys = {
        key([train, test], CONFIG),
        key([train, test], CONFIG.model_copy(update={"boundary_tolerance": 0.01})),
        key([train.model_copy(update={"cycle": train.resegmented}), test], CONFIG),
        key([train], ScoreConfig(splits=("train",))),
    }
    assert len(keys) == 4


def test_journeys_and_splits_must_be_the_same(hand_made: Any) -> None:
    train, test = hand_made.journeys
    with pytest.raises(InputError, match=r"scores of train, test want one journey of each; there are train$"):
        plan_score(hand_made.workspace, [train], CONFIG)
    other = test.model_copy(update={"generator": test.segmenter})
    with pytest.raises(InputError, match="one dataset, one segmenter and one generator"):
        plan_score(hand_made.workspace, [train, other], CONFIG)
