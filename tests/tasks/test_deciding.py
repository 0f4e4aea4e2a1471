"""Decisions: which maps are compared with which, over shards, and what the verdict says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import commit, maps, photographs, run_parts_here

from segspade_core.config import DecisionConfig
from segspade_core.errors import InputError
from segspade_core.metrics.confusion import confusion_of_ids, mean_iou, pixel_accuracy
from segspade_core.metrics.paired import PairedScore
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.deciding import Contest, decide, plan_decide, read_decision, reason_of
from tasks.plan import Plan

COUNT = 20  # two shards


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.deciding.map_parts", run_parts_here)


def guessed(truth: np.ndarray, skill: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.where(random.random(truth.shape) < skill, truth, 11).astype(np.uint8)


def contest(workspace: Path, skills: tuple[float, float]) -> tuple[Contest, np.ndarray, list[np.ndarray]]:
    truth = maps(1, COUNT)
    dataset = commit(
        workspace, "dataset", splits={"val": {"image": photographs(1, COUNT), "label_ids": truth}}
    )
    models = [commit(workspace, "segmenter", name) for name in ("champion", "challenger")]
    made = [guessed(np.where(truth == 255, 7, truth), skill, seed) for seed, skill in enumerate(skills)]
    refs = [
        commit(workspace, "label_maps", f"of {at}", {"val": {"label_ids": array}})
        for at, array in enumerate(made)
    ]
    found = Contest(
        dataset=dataset,
        champion=models[0],
        challenger=models[1],
        champion_maps=refs[0],
        challenger_maps=refs[1],
    )
    return found, truth, made


def decided(workspace: Path, found: Contest, config: DecisionConfig) -> tuple[Plan, dict[str, Any]]:
    plan = plan_decide(workspace, found, config)
    with Store(workspace).writer(plan.ref):
        decide(plan)
    return plan, json.loads((plan.staging / "decision.json").read_text())


@pytest.mark.parametrize(("metric", "score"), [("miou", mean_iou), ("pixel_accuracy", pixel_accuracy)])
def test_scores_are_those_of_counting_everything_at_once(workspace: Path, metric: str, score: Any) -> None:
    """Fault: champion and challenger in each other's place, a shard left out, void counted."""
    found, truth, made = contest(workspace, (0.6, 0.9))
    _, verdict = decided(workspace, found, DecisionConfig.model_validate({"metric": metric}))
    wanted = [score(confusion_of_ids(truth, array)) for array in made]
    assert [verdict["champion"], verdict["challenger"]] == pytest.approx(wanted)
    assert verdict["samples"] == COUNT
    assert verdict["promote"] is True
    assert 0 < verdict["low"] < verdict["difference"] < verdict["high"]


def test_the_better_one_stays_when_it_is_in_use(workspace: Path) -> None:
    found, _, _ = contest(workspace, (0.9, 0.6))
    _, verdict = decided(workspace, found, DecisionConfig())
    assert verdict["promote"] is False
    assert verdict["high"] < 0


def test_the_whole_interval_must_be_above_the_margin(workspace: Path) -> None:
    """Fault: the difference alone compared with the margin, or the upper end."""
    found, _, _ = contest(workspace, (0.7, 0.75))
    _, verdict = decided(workspace, found, DecisionConfig())
    assert verdict["promote"] is True
    between = (verdict["low"] + verdict["difference"]) / 2
    _, strict = decided(workspace, found, DecisionConfig(margin=between))
    assert strict["difference"] > between
    assert strict["promote"] is False


def test_a_tie_promotes_nobody(workspace: Path) -> None:
    found, _, _ = contest(workspace, (0.7, 0.75))
    same = found.model_copy(update={"challenger_maps": found.champion_maps})
    _, verdict = decided(workspace, same, DecisionConfig())
    assert (verdict["difference"], verdict["promote"]) == (0.0, False)


def test_the_reason_is_a_sentence() -> None:
    score = PairedScore(0.262, 0.279, 0.017, 0.004, 0.031, 0.95, 32, 2000)
    assert reason_of(score, DecisionConfig(), True) == (
        "mIoU 26.2 % → 27.9 % on 32 val frames, +1.7 points (95 % interval +0.4 to +3.1), "
        "which is above zero as a whole"
    )
    strict = DecisionConfig(margin=0.01, metric="pixel_accuracy", split="train")
    assert reason_of(score, strict, False) == (
        "pixel accuracy 26.2 % → 27.9 % on 32 train frames, +1.7 points (95 % interval +0.4 to +3.1), "
        "which is not above the margin of 1 point as a whole"
    )


def test_a_split_without_true_maps_is_refused(workspace: Path) -> None:
    found, _, _ = contest(workspace, (0.5, 0.6))
    bare = commit(workspace, "dataset", "bare", {"val": {"image": photographs(1, 3)}})
    with pytest.raises(
        InputError,
        match=rf"^split 'val' of {bare} has no true label maps to compare models by; give another with",
    ):
        plan_decide(workspace, found.model_copy(update={"dataset": bare}), DecisionConfig())


def test_a_decision_is_read_as_it_was_committed(workspace: Path) -> None:
    found, _, _ = contest(workspace, (0.5, 0.6))
    plan = plan_decide(workspace, found, DecisionConfig())
    with Store(workspace).writer(plan.ref) as staging:
        about = decide(plan)
        assert staging is not None
        staging.commit(
            stage=plan.stage,
            revision=plan.revision,
            config=plan.config,
            inputs=plan.inputs,
            seconds=1.0,
            **about,
        )
    assert read_decision(workspace, plan.ref)["challenger"] > read_decision(workspace, plan.ref)["champion"]
    assert Store(workspace).manifest(plan.ref).input_refs["champion"] == found.champion
    assert isinstance(plan.ref, ArtifactRef)
