"""The segmenter in use: when there is nothing to do, and when a challenger takes its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from handmade import commit

from segspade_core.config import RunConfig
from segspade_core.errors import InputError
from storage.aliases import Aliases
from storage.errors import MissingArtifact, StorageError
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.production import (
    Candidate,
    Outcome,
    candidate_of,
    elect,
    in_use,
    named,
    of_refresh,
    put_in_use,
    reason_to_rest,
    trained_on,
)


def run(**changes: Any) -> RunConfig:
    document: dict[str, Any] = {
        "name": "tiny",
        "source": {"kind": "path", "path": "data"},
        "ingest": {"layout": "camvid", "size": "32x64"},
        "segmenter": {"weights": "none", "epochs": 2},
        "generator": {"kind": "import"},
    }
    return RunConfig.model_validate({**document, **changes})


@pytest.fixture
def dataset(workspace: Path) -> ArtifactRef:
    return commit(workspace, "dataset", "one")


def train(candidate: Candidate) -> ArtifactRef:
    """Commit what the candidate's training would make."""
    plan = candidate.plan
    with Store(candidate.workspace).writer(plan.ref) as staging:
        if staging is not None:
            (staging.path / "model.safetensors").write_bytes(plan.key.encode())
            staging.commit(
                stage=plan.stage, revision=plan.revision, config=plan.config, inputs=plan.inputs, seconds=1.0
            )
    return plan.ref


def decide(candidate: Candidate, promote: bool) -> ArtifactRef:
    """A decision between champion and challenger, kept under the run's name."""
    verdict = json.dumps({"promote": promote, "reason": "it was measured"})
    return named_decision(candidate, verdict)


def named_decision(candidate: Candidate, verdict: str) -> ArtifactRef:
    assert candidate.champion is not None
    made = commit(
        candidate.workspace,
        "decision",
        write=lambda folder: (folder / "decision.json").write_text(verdict) and None,
        config=candidate.how.decision.model_dump(mode="json"),
        dataset=candidate.plan.input("dataset"),
        champion=candidate.champion,
        challenger=candidate.challenger,
    )
    Aliases(candidate.workspace).set("decision", candidate.run, made.key)
    return made


def first(workspace: Path, dataset: ArtifactRef, config: RunConfig) -> ArtifactRef:
    candidate = candidate_of(workspace, dataset, config)
    assert reason_to_rest(candidate) is None
    train(candidate)
    assert elect(candidate, None).name == "Promoted"
    return candidate.challenger


def test_the_first_comes_into_use_and_then_there_is_nothing_to_do(
    workspace: Path, dataset: ArtifactRef
) -> None:
    made = first(workspace, dataset, run())
    assert in_use(workspace, "segmenter", "production") == made
    rest = reason_to_rest(candidate_of(workspace, dataset, run()))
    assert rest is not None
    assert (rest.name, rest.reason) == ("Nothing to do", f"nothing changed since {made} was trained")
    assert trained_on(workspace, made) == dataset


@pytest.mark.parametrize("start", ["scratch", "champion"])
@pytest.mark.parametrize("change", ["data", "settings"])
def test_new_data_or_other_settings_are_something_to_do(
    workspace: Path, dataset: ArtifactRef, start: str, change: str
) -> None:
    first(workspace, dataset, run(retrain={"start": start}))
    other = commit(workspace, "dataset", "two") if change == "data" else dataset
    epochs = 2 if change == "data" else 3
    config = run(retrain={"start": start}, segmenter={"weights": "none", "epochs": epochs})
    assert reason_to_rest(candidate_of(workspace, other, config)) is None


def test_a_warm_start_takes_the_champions_weights_and_is_no_change_by_itself(
    workspace: Path, dataset: ArtifactRef
) -> None:
    """Fault: the champion's own weights in the key make every retraining something new."""
    warm = run(retrain={"start": "champion"})
    made = first(workspace, dataset, warm)
    candidate = candidate_of(workspace, dataset, warm)
    assert candidate.settings.weights == str(Store(workspace).path(made) / "model.safetensors")
    assert candidate.plan.config["weights"].startswith("sha256:")
    assert reason_to_rest(candidate) is not None
    # from scratch, weights are a setting like any other
    assert (
        reason_to_rest(candidate_of(workspace, dataset, run(segmenter={"weights": "imagenet", "epochs": 2})))
        is None
    )


def test_a_challenger_that_won_comes_into_use_with_its_reason(workspace: Path, dataset: ArtifactRef) -> None:
    before = first(workspace, dataset, run())
    candidate = candidate_of(workspace, commit(workspace, "dataset", "two"), run())
    now = train(candidate)
    outcome = elect(candidate, decide(candidate, promote=True))
    assert (outcome.name, outcome.reason) == ("Promoted", f"{now} is in use now: it was measured")
    history = Aliases(workspace).history("segmenter", "production")
    assert [(entry["key"], entry["reason"]) for entry in history] == [
        (before.key, "there was none in use"),
        (now.key, "it was measured"),
    ]
    assert in_use(workspace, "segmenter", "production-before") == before


def test_a_challenger_that_lost_is_not_tried_again_until_something_changes(
    workspace: Path, dataset: ArtifactRef
) -> None:
    before = first(workspace, dataset, run())
    other = commit(workspace, "dataset", "two")
    candidate = candidate_of(workspace, other, run())
    lost = train(candidate)
    outcome = elect(candidate, decide(candidate, promote=False))
    assert (outcome.name, outcome.reason) == ("Kept", f"{before} stays in use: it was measured")
    assert in_use(workspace, "segmenter", "production") == before
    rest = reason_to_rest(candidate_of(workspace, other, run()))
    assert rest is not None
    assert rest.reason == f"nothing changed since {lost} was compared and not promoted: it was measured"
    for config in (
        run(retrain={"decision": {"margin": -0.1}}),
        run(segmenter={"weights": "none", "epochs": 9}),
    ):
        assert reason_to_rest(candidate_of(workspace, other, config)) is None
    assert reason_to_rest(candidate_of(workspace, commit(workspace, "dataset", "three"), run())) is None


def test_a_promotion_that_was_cut_short_after_the_decision_is_made_good(
    workspace: Path, dataset: ArtifactRef
) -> None:
    """Fault: a decision to promote taken for a promotion."""
    first(workspace, dataset, run())
    candidate = candidate_of(workspace, commit(workspace, "dataset", "two"), run())
    train(candidate)
    decision = decide(candidate, promote=True)
    again = candidate_of(workspace, candidate.plan.input("dataset"), run())
    assert reason_to_rest(again) is None
    assert elect(again, decision).name == "Promoted"


def test_what_a_person_took_back_is_not_promoted_again(workspace: Path, dataset: ArtifactRef) -> None:
    before = first(workspace, dataset, run())
    other = commit(workspace, "dataset", "two")
    candidate = candidate_of(workspace, other, run())
    now = train(candidate)
    elect(candidate, decide(candidate, promote=True))
    Aliases(workspace).rollback("segmenter", "production")
    assert in_use(workspace, "segmenter", "production") == before
    rest = reason_to_rest(candidate_of(workspace, other, run()))
    assert rest is not None
    assert rest.reason == (
        f"nothing changed since segmenter/production was rolled back from {now}; to have it again: "
        f"segspade alias set segmenter/production {now.key}"
    )


def test_who_else_changed_what_is_in_use_meanwhile_is_not_overruled(
    workspace: Path, dataset: ArtifactRef
) -> None:
    first(workspace, dataset, run())
    candidate = candidate_of(workspace, commit(workspace, "dataset", "two"), run())
    train(candidate)
    decision = decide(candidate, promote=True)
    put_in_use(workspace, commit(workspace, "segmenter", "by hand"), "production", "by hand")
    with pytest.raises(
        StorageError, match=r"^segmenter/production was changed while segmenter/[0-9a-f]{16} was trained"
    ):
        elect(candidate, decision)


def test_a_model_in_use_that_was_deleted_is_said_to_be(workspace: Path, dataset: ArtifactRef) -> None:
    made = first(workspace, dataset, run())
    Store(workspace).remove(made)
    with pytest.raises(MissingArtifact, match=rf"^{made} is not in "):
        candidate_of(workspace, dataset, run())
    assert in_use(workspace, "generator", "production") is None


def test_a_name_is_resolved_and_what_it_means_is_said(
    workspace: Path, dataset: ArtifactRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("tasks.production.tell", said.append)
    put_in_use(workspace, made := commit(workspace, "segmenter", "x"), "production", "by hand")
    assert named(workspace, "segmenter/production", "segmenter") == made
    assert named(workspace, str(dataset), "dataset") == dataset
    assert said == [f"segmenter/production is {made} now: by hand", f"segmenter/production is {made}"]


def test_a_run_that_only_finishes_what_another_began_says_so() -> None:
    """Fault: "Nothing to do", and ten artifacts that were made."""
    rest, kept = Outcome("Nothing to do", "nothing changed"), Outcome("Kept", "no better")
    assert of_refresh(rest, made=False) == rest
    assert of_refresh(rest, made=True) == Outcome(
        "Finished", "nothing changed; what follows from that is up to date now"
    )
    assert of_refresh(kept, made=True) == kept


def test_a_workspace_that_is_not_there_is_said_to_be_none(tmp_path: Path) -> None:
    """Fault: advice to list what is in it."""
    with pytest.raises(InputError, match=r"nowhere: there is no workspace here; give the folder"):
        named(tmp_path / "nowhere", "segmenter/production", "segmenter")
