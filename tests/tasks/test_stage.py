"""The store is the truth, Prefect's record of a task a view of it: this holds what Prefect does inside."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import State

from segspade_core.config import RuntimeConfig
from storage.errors import DiskFull
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.plan import Part, Plan, StoredPart, marker, part_is_made, parts_of
from tasks.stage import making, map_parts, publish, stage_task

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]

ran: list[str] = []
fails: dict[str, list[Exception]] = {}


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()
    fails.clear()


def plan_of(workspace: Path, name: str = "a", **runtime: Any) -> Plan:
    return Plan(
        workspace=workspace,
        stage="test",
        kind="scores",
        revision=1,
        config={"name": name},
        inputs={},
        runtime=RuntimeConfig(**runtime),
    )


@stage_task(name="part", task_run_name="part {part.name}", retry_delay_seconds=0)
def make_part(plan: Plan, part: Part) -> StoredPart:
    ran.append(part.name)
    if fails.get(part.name):
        raise fails[part.name].pop()
    put_bytes(marker(plan, part), b"")
    return StoredPart(plan=plan, part=part)


@flow
def make(plan: Plan) -> ArtifactRef:
    with making(plan) as work:
        if not work.is_done:
            map_parts(make_part, plan, parts_of({"train": 40}))
            put_bytes(plan.staging / "made.txt", b"made")
        return publish(plan, work)


def run(plan: Plan) -> tuple[State[Any], dict[str, str]]:
    """The flow's state, and the state of each of its tasks by name."""
    state = make(plan, return_state=True)
    with get_client(sync_client=True) as client:
        assert state.state_details.flow_run_id is not None
        found = _task_states(client, state.state_details.flow_run_id)
    return state, found


def _task_states(client: Any, flow_run_id: Any) -> dict[str, str]:
    """Rows of tasks reach the database late: as soon as all of them are final."""
    import time

    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    seen: dict[str, str] = {}
    for _ in range(200):
        tasks = client.read_task_runs(flow_run_filter=of_run)
        now = {task.name: task.state_name for task in tasks}
        if now and now == seen and all(task.state and task.state.is_final() for task in tasks):
            return now
        seen = now
        time.sleep(0.1)
    raise AssertionError(f"tasks never came to an end: {seen}")


def publish_of(plan: Plan) -> str:
    return f"publish test {plan.key}"


def test_what_is_made_shows_as_cached_and_runs_no_part(workspace: Path) -> None:
    plan = plan_of(workspace)
    first, tasks = run(plan)
    assert first.is_completed()
    assert sorted(ran) == ["train-00000", "train-00001", "train-00002"]
    assert set(tasks.values()) == {"Completed"}
    ran.clear()
    second, tasks = run(plan)
    assert second.is_completed()
    assert tasks == {publish_of(plan): "Cached"}
    assert ran == []


def test_cached_also_where_prefect_has_no_record(workspace: Path, tmp_path: Path) -> None:
    """Fault: on another server, or in a moved workspace, everything looks as if it was made again."""
    run(plan_of(workspace))
    moved = workspace.rename(tmp_path / "moved")
    plan = plan_of(moved)
    state, tasks = run(plan)
    assert state.is_completed()
    assert tasks == {publish_of(plan): "Cached"}


def test_a_record_whose_artifact_is_gone_is_a_miss(workspace: Path) -> None:
    """An internal of Prefect: a record that cannot be read back counts as none."""
    plan = plan_of(workspace)
    run(plan)
    Store(workspace).remove(plan.ref)
    ran.clear()
    state, tasks = run(plan)
    assert state.is_completed()
    assert len(ran) == 3
    assert set(tasks.values()) == {"Completed"}
    assert Store(workspace).exists(plan.ref)


def test_parts_that_are_made_show_as_cached_when_a_run_goes_on(workspace: Path) -> None:
    plan = plan_of(workspace, workers=1)
    fails["train-00001"] = [ValueError("a bug")]
    state, _ = run(plan)
    assert state.is_failed()
    assert not Store(workspace).exists(plan.ref)
    done = [part for part in parts_of({"train": 40}) if part_is_made(plan, part)]
    assert [part.name for part in done][:1] == ["train-00000"]
    ran.clear()
    state, tasks = run(plan)
    assert state.is_completed()
    assert tasks["part train-00000"] == "Cached"
    assert tasks["part train-00001"] == "Completed"
    assert "train-00000" not in ran


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (OSError("the disk stumbled"), 2),
        (ValueError("a bug"), 1),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (DiskFull("the disk is full"), 1),
    ],
)
def test_only_what_another_try_may_mend_is_tried_again(workspace: Path, error: Exception, tries: int) -> None:
    fails["train-00002"] = [error]
    state, _ = run(plan_of(workspace))
    assert ran.count("train-00002") == tries
    assert state.is_completed() is (tries == 2)


def test_a_full_disk_is_said_to_be_full_and_nothing_else(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: that the time could not be noted either hides what could not be written."""
    fails["train-00001"] = [OSError(errno.ENOSPC, "No space left on device", "a.bin")]
    plan = plan_of(workspace, workers=1)

    def full(path: Path, content: bytes) -> None:
        raise DiskFull(f"{path} is the wrong file to name")

    monkeypatch.setattr("tasks.stage.put_bytes", full)
    with pytest.raises(DiskFull, match=r"^a\.bin: cannot be written, the disk is full \("):
        make(plan)
    monkeypatch.undo()
    assert make(plan) == plan.ref


def test_a_failure_is_that_of_the_part(workspace: Path) -> None:
    """Fault: the caller meets an error of Prefect's and cannot tell the user's input from a bug."""
    fails["train-00000"] = [ValueError("train-00000 is wrong")]
    with pytest.raises(ValueError, match=r"^train-00000 is wrong$"):
        make(plan_of(workspace))


def test_the_cache_tells_stages_configs_parts_and_workspaces_apart(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key: Callable[..., str] = make_part.cache_policy.compute_key

    class Context:
        task = make_part

    def of(plan: Plan, part: int | None = 0) -> str:
        inputs: dict[str, Any] = {"plan": plan}
        if part is not None:
            inputs["part"] = parts_of({"train": 40})[part]
        return key(task_ctx=Context, inputs=inputs, flow_parameters={})

    plan = plan_of(workspace)
    others = [
        plan_of(workspace, "b"),
        plan.model_copy(update={"stage": "other"}),
        plan_of(tmp_path / "other"),
    ]
    keys = [of(plan), of(plan, 1), of(plan, None), *(of(other) for other in others)]
    assert len(set(keys)) == len(keys)
    monkeypatch.chdir(tmp_path)
    assert of(plan_of(Path("workspace"))) == of(plan)


def test_logs_leave_out_the_end_of_every_task() -> None:
    """Fault: a thousand lines of Prefect's hide the ten that say what happened."""
    logger = logging.getLogger("prefect.task_runs")

    def passes(message: str, *arguments: object) -> bool:
        return bool(logger.filter(logging.LogRecord("x", logging.INFO, "x", 1, message, arguments, None)))

    assert not passes("Finished in state %s", "Completed()")
    assert passes("epoch 3 of 5")
