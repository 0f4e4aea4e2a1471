"""What Prefect keeps of runs that ended long ago: found, and deleted. Artifacts of the store are not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.exceptions import ObjectNotFound

from flows.server import home_of
from storage.places import shown, url_of

Item = TypeVar("Item")

_ENDED = FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES)))
_NOT_ENDED = FlowRunFilterState(type=FlowRunFilterStateType(not_any_=sorted(TERMINAL_STATES)))


@dataclass(frozen=True)
class FlowHistory:
    """The runs of one flow that have ended: those that are old, and how many stay."""

    flow: str
    old: tuple[UUID, ...]
    stay: int


@dataclass(frozen=True)
class ResultFile:
    """What one task returned, as Prefect keeps it."""

    path: Path
    bytes: int


@dataclass(frozen=True)
class Leftovers:
    """What runs left that ended before a moment, and nothing needs any more."""

    before: datetime
    histories: tuple[FlowHistory, ...]
    results: tuple[ResultFile, ...]

    @property
    def runs(self) -> int:
        """How many runs are old."""
        return sum(len(history.old) for history in self.histories)

    @property
    def bytes(self) -> int:
        """Of all result files."""
        return sum(result.bytes for result in self.results)


def find_leftovers(workspace: Path, before: datetime, keep_last: int, shared: bool) -> Leftovers:
    """Look for runs that ended, and results that were written, before a moment. Deletes nothing.

    Args:
        workspace: whose runs and results are looked at.
        before: a moment with its timezone.
        keep_last: so many runs of each flow stay, however old: those that ended last.
        shared: the server may hold runs of others, so that only runs whose parameters name this workspace
            count; else all of its runs are the workspace's.
    """
    with get_client(sync_client=True) as client:
        histories = _histories(client, before, keep_last, workspace if shared else None)
        in_use = _results_in_use(client)
    return Leftovers(before, histories, tuple(_old_results(workspace, before, in_use)))


def delete_leftovers(leftovers: Leftovers, advance: Callable[[], None] = lambda: None) -> Leftovers:
    """Delete what was found. Returns what is gone: a run that was started again since then stays.

    Args:
        leftovers: of `find_leftovers`.
        advance: called once for every run.
    """
    histories = []
    with get_client(sync_client=True) as client:
        for history in leftovers.histories:
            gone = []
            for run in history.old:
                if _delete_run(client, run, leftovers.before):
                    gone.append(run)
                advance()
            histories.append(replace(history, old=tuple(gone)))
    for result in leftovers.results:
        result.path.unlink(missing_ok=True)
    return replace(leftovers, histories=tuple(histories))


def _histories(
    client: SyncPrefectClient, before: datetime, keep_last: int, workspace: Path | None
) -> tuple[FlowHistory, ...]:
    ended: dict[UUID, dict[UUID, datetime]] = {}
    # sorted by what never changes, so that none is missed when others end meanwhile; one may come twice
    for run in _all(
        client.read_flow_runs, flow_run_filter=FlowRunFilter(state=_ENDED), sort=FlowRunSort.ID_DESC
    ):
        if run.end_time is not None and (workspace is None or _is_of(run, workspace)):
            ended.setdefault(run.flow_id, {})[run.id] = run.end_time
    names = {flow.id: flow.name for flow in _all(client.read_flows)}
    histories = []
    for flow, ends in ended.items():
        newest_first = sorted(ends, key=lambda run, ends=ends: ends[run], reverse=True)  # type: ignore[misc]
        old = tuple(run for run in newest_first[keep_last:] if ends[run] < before)
        histories.append(FlowHistory(names.get(flow, str(flow)), old, len(ends) - len(old)))
    return tuple(sorted(histories, key=lambda history: history.flow))


def _is_of(run: FlowRun, workspace: Path) -> bool:
    """Whether the run worked in this workspace. A relative path could be anybody's: it says no."""
    given = run.parameters.get("workspace")
    if isinstance(given, str) and "://" in given:
        return url_of(given) == shown(workspace)
    return (
        isinstance(given, str)
        and os.path.isabs(given)
        and os.path.realpath(given) == os.path.realpath(workspace)
    )


def _results_in_use(client: SyncPrefectClient) -> set[Path]:
    """Results that runs which have not ended may still read: also old ones, which they found cached."""
    tasks = _all(
        client.read_task_runs, flow_run_filter=FlowRunFilter(state=_NOT_ENDED), sort=TaskRunSort.ID_DESC
    )
    keys = (getattr(task.state.data, "storage_key", None) for task in tasks if task.state is not None)
    return {Path(key) for key in keys if key is not None}


def _old_results(workspace: Path, before: datetime, in_use: set[Path]) -> Iterator[ResultFile]:
    # where `prepare_environment` puts them; a PREFECT_HOME of the user's own may hold those of others
    for path in sorted((home_of(workspace) / "storage").rglob("*")):
        if path in in_use or not path.is_file():
            continue
        about = path.stat()
        if about.st_mtime < before.timestamp():
            yield ResultFile(path, about.st_size)


def _delete_run(client: SyncPrefectClient, run: UUID, before: datetime) -> bool:
    """Delete a run with its tasks, logs and artifacts, if it has still ended so long ago."""
    # Prefect deletes tasks and logs with a run, and forgets artifacts; these first: when this is cut short,
    # the run is there to be found again
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    for artifact in list(_all(client.read_artifacts, artifact_filter=of_run)):
        with suppress(ObjectNotFound):
            client.delete_artifact(artifact.id)
    # the server looks again whether the run has ended. One run at a time: with thousands of tasks each, a
    # statement that deletes many takes longer than Prefect lets PostgreSQL work on one
    still = FlowRunFilter(
        id=FlowRunFilterId(any_=[run]), state=_ENDED, end_time=FlowRunFilterEndTime(before_=before)
    )
    answer = client.request(
        "POST",
        "/flow_runs/bulk_delete",  # type: ignore[arg-type]
        json={"flow_runs": still.model_dump(mode="json", exclude_unset=True), "limit": 1},
    )
    return bool(answer.json()["deleted"])


def _all(read: Callable[..., Sequence[Item]], **query: Any) -> Iterator[Item]:
    """Every item of a query, which a server answers some at a time."""
    offset = 0
    while page := read(**query, offset=offset):
        yield from page
        offset += len(page)
