"""`segspade tidy`: what goes is old, ended and the workspace's own; artifacts and what is in use stay."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, get_client, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.states import Completed, Failed, Running, Scheduled
from typer.testing import CliRunner

from flows.cli import app
from flows.cli.tidying import parse_age
from flows.pipeline import pipeline
from flows.tidying import Leftovers, delete_leftovers, find_leftovers
from segspade_core.config import RunConfig
from segspade_core.errors import InputError

Digests = Callable[[Path], dict[str, str]]
Segspade = Callable[..., "subprocess.CompletedProcess[str]"]
on_server = pytest.mark.prefect


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("8w", timedelta(weeks=8)),
        ("0h", timedelta(0)),
    ],
)
def test_ages(text: str, age: timedelta) -> None:
    """Fault: weeks taken for days, so that seven times as much is deleted as was asked for."""
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "30", "d", "-3d", "1.5d", "30 d", "3m", "30days", "30D", "٣d"])
def test_an_age_that_is_none_is_refused(text: str) -> None:
    """Fault: an age is guessed at, and what was to stay is deleted."""
    with pytest.raises(InputError) as error:
        parse_age(text)
    assert str(error.value) == (
        f"--older-than {text}: not a number of hours, days or weeks, such as 12h, 30d or 8w"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--older-than", "3m"), "error: --older-than 3m: not a number of hours, days or weeks, such as 12h"),
        (("--older-than", "999999w"), "error: --older-than 999999w: longer ago than there are dates"),
        (("--older-than", "9" * 12 + "w"), "longer ago than there are dates"),
        (("-w", "ordinary"), "error: ordinary: there is no workspace; name another with --workspace"),
        (("-w", "nowhere"), "error: nowhere: there is no workspace; name another with --workspace"),
    ],
)
def test_what_is_wrong_is_said_before_a_server_is_started(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a traceback, or twenty seconds of waiting for a server in place of the message."""
    monkeypatch.setattr("flows.server.serving", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workspace").mkdir()
    (tmp_path / "ordinary" / "notes").mkdir(parents=True)
    result = CliRunner().invoke(app, ["tidy", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


@flow(name="tidy-nothing")
def nothing(workspace: Path) -> None:
    """A flow whose runs are made up."""


@flow(name="tidy-other")
def other(workspace: Path) -> None:
    """Another."""


@task(name="tidy-task", persist_result=True, result_serializer="json", cache_result_in_memory=False)
def write() -> int:
    create_markdown_artifact("a panel", key="tidy-panel")
    return 1


@flow(name="tidy-something")
def something(workspace: Path) -> None:
    """A run with a task, a panel and a result file."""
    write()


@pytest.fixture
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    place = tmp_path / "workspace"
    (place / ".prefect" / "storage").mkdir(parents=True)
    return place


Make = Callable[..., UUID]


@pytest.fixture
def make(client: SyncPrefectClient, workspace: Path) -> Make:
    """Make a run up. It ends, if it does, a moment after those made before it."""

    def make(state: State, of: object = nothing, place: Path | str = workspace) -> UUID:
        run = client.create_flow_run(of, parameters={"workspace": str(place)})  # type: ignore[arg-type]
        client.set_flow_run_state(run.id, state, force=True)
        return run.id

    return make


def now() -> datetime:
    return datetime.now(UTC)


def old_runs(leftovers: Leftovers) -> set[UUID]:
    return {run for history in leftovers.histories for run in history.old}


def exists(client: SyncPrefectClient, run: UUID) -> bool:
    try:
        client.read_flow_run(run)
    except ObjectNotFound:
        return False
    return True


@on_server
def test_what_ended_before_the_moment_goes_and_the_last_of_each_flow_stay(
    make: Make, client: SyncPrefectClient, workspace: Path
) -> None:
    """Fault: runs under way or scheduled are deleted, one flow's runs use up another's, the oldest stay."""
    old = [make(Completed()), make(Failed()), make(Completed())]
    others = [make(Completed(), other) for _ in range(2)]
    running, scheduled = make(Running()), make(Scheduled())
    before = now()
    young = make(Completed())

    assert old_runs(find_leftovers(workspace, before, 0, shared=True)) == {*old, *others}
    # the young one is one of the last two
    leftovers = find_leftovers(workspace, before, 2, shared=True)
    assert [(each.flow, set(each.old), each.stay) for each in leftovers.histories] == [
        ("tidy-nothing", set(old[:2]), 2),
        ("tidy-other", set(), 2),
    ]
    steps: list[None] = []
    assert delete_leftovers(leftovers, lambda: steps.append(None)) == leftovers
    assert len(steps) == 2
    assert not any(exists(client, run) for run in old[:2])
    assert all(exists(client, run) for run in (old[2], *others, running, scheduled, young))


@on_server
def test_a_run_that_was_started_again_stays(make: Make, client: SyncPrefectClient, workspace: Path) -> None:
    """Fault: between listing and deleting somebody presses Retry, and the run under way is deleted."""
    again, gone = make(Failed()), make(Completed())
    leftovers = find_leftovers(workspace, now(), 0, shared=True)
    client.set_flow_run_state(again, Running(), force=True)
    assert old_runs(leftovers) == {again, gone}
    assert old_runs(delete_leftovers(leftovers)) == {gone}
    assert exists(client, again)
    assert not exists(client, gone)


@on_server
def test_on_a_server_of_others_only_the_workspaces_runs_go(make: Make, workspace: Path) -> None:
    """Fault: one workspace is tidied, and the history of every other on the same server is gone."""
    mine = make(Completed())
    link = workspace.parent / "link"
    link.symlink_to(workspace)
    linked = make(Completed(), place=link)
    elsewhere = make(Completed(), place=workspace.parent / "another")
    # what a relative path means depends on where the run ran
    relative = make(Completed(), place=os.path.relpath(workspace))
    assert old_runs(find_leftovers(workspace, now(), 0, shared=True)) == {mine, linked}
    assert old_runs(find_leftovers(workspace, now(), 0, shared=False)) >= {mine, linked, elsewhere, relative}


@on_server
def test_histories_longer_than_an_answer_are_read_to_their_end(
    make: Make, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a server answers 200 runs at a time, and the 201st, which is the oldest, stays for ever."""
    made = {make(Completed()) for _ in range(5)}
    from prefect.client.orchestration import SyncPrefectClient

    read = SyncPrefectClient.read_flow_runs
    monkeypatch.setattr(
        SyncPrefectClient, "read_flow_runs", lambda self, **query: read(self, limit=2, **query)
    )
    assert old_runs(find_leftovers(workspace, now(), 0, shared=True)) == made


@on_server
def test_tasks_logs_and_panels_go_with_a_run(client: SyncPrefectClient, workspace: Path) -> None:
    """Fault: Prefect forgets the artifacts of a run it deletes, which are most of the database."""
    gone, kept = (something(workspace, return_state=True).state_details.flow_run_id for _ in range(2))
    assert gone is not None
    assert kept is not None
    for run in (gone, kept):
        line = LogCreate(name="tidy", level=20, message="a line", timestamp=now(), flow_run_id=run)
        client.create_logs([line])
    for run in (gone, kept):
        settled_tasks(client, run)
        wait_for(lambda run=run: panels_of(client, run) and logs_of(client, run))
    leftovers = find_leftovers(workspace, now(), 1, shared=True)
    assert old_runs(leftovers) == {gone}
    delete_leftovers(leftovers)
    assert not tasks_of(client, gone)
    assert not panels_of(client, gone)
    wait_for(lambda: not logs_of(client, gone))  # the server does it later
    assert len(tasks_of(client, kept)) == len(panels_of(client, kept)) == 1
    assert logs_of(client, kept)


@on_server
def test_results_that_a_run_under_way_may_read_stay(client: SyncPrefectClient, workspace: Path) -> None:
    """Fault: an old result that a run found cached is deleted under it, and the run fails."""
    storage = workspace / ".prefect" / "storage"
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: storage}):
        run = something(workspace, return_state=True).state_details.flow_run_id
    assert run is not None
    settled_tasks(client, run)
    (used,) = storage.iterdir()
    old, young = storage / "old", storage / "young"
    for path in (old, young):
        path.write_text("result")
    long_ago = time.time() - 3600
    for path in (used, old):
        os.utime(path, (long_ago, long_ago))
    (workspace / "artifacts").mkdir()
    (workspace / "artifacts" / "old").write_text("not Prefect's")
    os.utime(workspace / "artifacts" / "old", (long_ago, long_ago))
    before = now() - timedelta(minutes=30)

    assert {each.path for each in find_leftovers(workspace, before, 0, shared=True).results} == {used, old}
    client.set_flow_run_state(run, Running(), force=True)
    leftovers = find_leftovers(workspace, before, 0, shared=True)
    assert [(each.path, each.bytes) for each in leftovers.results] == [(old, 6)]
    assert old.exists()
    delete_leftovers(leftovers)
    assert not old.exists()
    assert used.exists()
    assert young.exists()
    assert (workspace / "artifacts" / "old").exists()
    client.set_flow_run_state(run, Completed(), force=True)


@on_server
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_after_tidying_everything_is_still_made(
    tiny: RunConfig,
    tiny_file: Path,
    made: Path,
    tmp_path: Path,
    prefect_api: str,
    client: SyncPrefectClient,
    segspade: Segspade,
    digests: Digests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault: something is deleted without --yes; with the results gone, stages are made again."""
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    workspace = shutil.copytree(made, tmp_path / "workspace")
    done = segspade("run", tiny_file, "-w", workspace, api=prefect_api)
    assert done.returncode == 0, done.stderr
    store = digests(workspace)
    storage = workspace / ".prefect" / "storage"
    files = {path: path.stat().st_size for path in storage.iterdir()}
    command = ("tidy", "--older-than", "0h", "--keep-last", "0", "-w", workspace)

    shown = segspade(*command, api=prefect_api)
    assert shown.returncode == 0, shown.stderr
    size = f"{sum(files.values()) / 1000:.1f} kB"
    assert f"of the runs on this server, those in {workspace} alone\n" in shown.stderr
    assert f"\n1 run, {len(files)} result files, {size}; --yes deletes them\n" in shown.stderr
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["what", "would", "delete", "stay", "size"] in rows
    assert ["runs", "of", "pipeline", "1", "0"] in rows
    assert ["result", "files", str(len(files)), *size.split()] in rows
    assert {path: path.stat().st_size for path in storage.iterdir()} == files

    gone = segspade(*command, "--yes", "--json", api=prefect_api)
    assert gone.returncode == 0, gone.stderr
    found = json.loads(gone.stdout)
    assert found["deleted"] is True
    assert found["runs"] == [{"flow": "pipeline", "old": 1, "stay": 0}]
    assert found["results"] == {"files": len(files), "bytes": sum(files.values())}
    assert not list(storage.iterdir())
    assert "0 runs, 0 result files, 0 B\n" in segspade(*command, api=prefect_api).stderr

    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: storage}):
        run = pipeline(tiny, workspace, return_state=True).state_details.flow_run_id
    assert run is not None
    assert {task.state_name for task in settled_tasks(client, run)} == {"Cached"}
    assert digests(workspace) == store


def wait_for(happens: Callable[[], object]) -> None:
    """Rows reach the database late, and leave it late."""
    deadline = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def settled_tasks(client: SyncPrefectClient, run: UUID) -> list[TaskRun]:
    """The tasks of a run that is through, once all of them have reached the database."""
    seen: list[int] = []

    def settled() -> bool:
        tasks = tasks_of(client, run)
        seen.append(len(tasks) if all(task.state and task.state.is_final() for task in tasks) else 0)
        return seen[-1] > 0 and seen[-3:] == [seen[-1]] * 3

    wait_for(settled)
    return tasks_of(client, run)


def tasks_of(client: SyncPrefectClient, run: UUID) -> list[TaskRun]:
    return client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))


def panels_of(client: SyncPrefectClient, run: UUID) -> list[object]:
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    return [each for each in client.read_artifacts(artifact_filter=only) if each.key == "tidy-panel"]


def logs_of(client: SyncPrefectClient, run: UUID) -> list[object]:
    only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
    return list(client.read_logs(log_filter=only))
