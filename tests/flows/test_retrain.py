"""Retraining as a journey: a first model, nothing to do, new frames, a rollback; and one cut short."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from flows.retrain import retrain
from segspade_core.config import RunConfig
from storage.aliases import Aliases
from storage.store import Store
from tasks.failures import TrainingEnded

pytestmark = pytest.mark.prefect


def config_of(
    tiny: RunConfig, train: int = 18, margin: float = 0.0, epochs: int = 2, **retrain: Any
) -> RunConfig:
    document = tiny.model_dump()
    document["source"]["city"]["train"] = train
    document["retrain"] = {"decision": {"margin": margin}, **retrain}
    document["evaluate"] = {"splits": ["val"], "look": {"flip": True}}
    return RunConfig.model_validate(document)


def run(config: RunConfig, workspace: Path) -> tuple[str, str]:
    """Name and message of the state that the run ended in."""
    state = retrain(config, workspace, return_state=True)
    state.result()
    return str(state.name), str(state.message)


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Path:
    """The tiny journey's, so that its dataset and segmenter are there."""
    return shutil.copytree(made, tmp_path / "workspace")


def in_use(workspace: Path, kind: str = "segmenter") -> str | None:
    return Aliases(workspace).get(kind, "production")


def test_a_first_model_then_nothing_then_new_frames_then_a_rollback(workspace: Path, tiny: RunConfig) -> None:
    """Fault: a challenger promoted that is no better, the models in use not those that the report is on."""
    store = Store(workspace)
    (first,) = store.refs("segmenter")
    (generator,) = store.refs("generator")
    assert run(config_of(tiny), workspace) == ("Promoted", f"{first} is in use now: there was none in use")
    assert (in_use(workspace), in_use(workspace, "generator")) == (first.key, generator.key)
    assert run(config_of(tiny), workspace) == ("Nothing to do", f"nothing changed since {first} was trained")

    # no difference is above one: what is new is trained on, compared, and not taken
    more = config_of(tiny, train=20, margin=1.0)
    name, message = run(more, workspace)
    assert name == "Kept"
    assert message.startswith(f"{first} stays in use: mIoU ")
    assert in_use(workspace) == first.key
    (drift,) = store.refs("drift")
    assert store.manifest(drift).counts == {"before": 18, "new": 2}
    (decision,) = store.refs("decision")
    challenger = store.manifest(decision).input_refs["challenger"]
    maps = store.manifest(decision).input_refs["challenger_maps"]
    assert store.manifest(maps).config["flip"], "judged as it will be looked with"
    name, message = run(more, workspace)
    assert (name, message.partition(":")[0]) == (
        "Nothing to do",
        f"nothing changed since {challenger} was compared and not promoted",
    )

    # every difference is above minus one
    more = config_of(tiny, train=20, margin=-1.0)
    name, message = run(more, workspace)
    assert (name, in_use(workspace)) == ("Promoted", challenger.key)
    report = store.resolve("report/tiny")
    assert {challenger, generator} <= set(store.lineage(report))
    assert first not in store.lineage(report)
    assert not {item.ref for item in store.gc_plan().items} & {first, challenger, drift, generator}
    assert [entry["key"] for entry in Aliases(workspace).history("segmenter", "production")] == [
        first.key,
        challenger.key,
    ]

    Aliases(workspace).rollback("segmenter", "production")
    name, message = run(more, workspace)
    assert (name, in_use(workspace)) == ("Finished", first.key)
    assert f"was rolled back from {challenger}" in message
    assert first in store.lineage(store.resolve("report/tiny"))
    assert run(more, workspace)[0] == "Nothing to do"
    # what may be wanted again is named, or reached from a name
    assert not {item.ref for item in store.gc_plan().items} & {first, challenger, drift, generator}


def test_a_retraining_that_is_cut_short_leaves_the_model_in_use_and_goes_on(
    workspace: Path,
    tiny: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    digests: Callable[[Path], dict[str, str]],
) -> None:
    """Fault: the next one begins anew, or ends with other bytes; the champion touched by a failure."""
    run(config_of(tiny), workspace)
    (first,) = Store(workspace).refs("segmenter")
    whole = shutil.copytree(workspace, tmp_path / "whole")
    config = config_of(tiny, train=20, margin=-1.0, start="champion")
    run(config, whole)

    with monkeypatch.context() as patch:
        # the child that trains is killed after its second step
        patch.setattr("tasks.training._show", kill_after(2))
        with pytest.raises(TrainingEnded, match="run the same again to go on from its last checkpoint"):
            run(config, workspace)
    assert in_use(workspace) == first.key
    assert list((workspace / "staging" / "segmenter").glob("*/checkpoints/*"))
    name, _ = run(config, workspace)
    assert name == "Promoted"
    challenger = in_use(workspace)
    assert challenger not in (None, first.key)
    assert digests(workspace) == digests(whole)


def kill_after(steps: int) -> Callable[..., None]:
    import psutil

    seen = 0

    def show(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == steps:
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.ZombieProcess):  # of another test
                    if "tasks.training_process" in child.cmdline():
                        child.kill()

    return show
