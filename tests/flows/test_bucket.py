"""The journey with its workspace in a bucket: killed on one machine, gone on with on another."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.pipeline import pipeline
from segspade_core.config import RunConfig
from storage.aliases import Aliases
from storage.mirror import Mirror
from storage.places import workspace_path
from storage.store import Store

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

Start = Callable[..., "subprocess.Popen[str]"]
Digests = Callable[[Path], dict[str, str]]


def wait_for(ending: str, area: str, mirror: Mirror, process: subprocess.Popen[str]) -> None:
    """Until the bucket has an object in `area` whose name has that in it, before the run is through."""
    deadline = time.monotonic() + 120
    while not any(ending in entry.name for entry in mirror.entries(mirror.root / area)):
        assert process.poll() is None, f"the run ended without {ending}: {process.communicate()}"
        assert time.monotonic() < deadline, f"{ending} never came"
        time.sleep(0.02)


def states_of_second_run(config: RunConfig, url: str) -> set[str | None]:
    """Of the tasks, when everything is made."""
    state = pipeline(config, url, return_state=True)  # type: ignore[arg-type]
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        before = -1
        while True:  # rows reach the database late
            tasks = client.read_task_runs(flow_run_filter=of_run)
            if tasks and len(tasks) == before and all(task.state and task.state.is_final() for task in tasks):
                return {task.state_name for task in tasks}
            before = len(tasks)
            time.sleep(0.2)


@pytest.mark.timeout(400)
def test_killed_on_one_machine_it_is_gone_on_with_on_another(
    tiny_file: Path,
    tiny: RunConfig,
    made: Path,
    tmp_path: Path,
    url: str,
    prefect_api: str,
    started: Start,
    digests: Digests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault: what a killed run had made is made again, or is not what an unbroken run on a disk makes."""
    moments = [("/done/train.zarr/", "staging/dataset"), ("/checkpoints/", "staging/segmenter")]
    committed: dict[str, str] = {}
    for number, (ending, area) in enumerate(moments):
        monkeypatch.setenv("SEGSPADE_CACHE", str(tmp_path / f"machine-{number}"))
        mirror = Store(workspace_path(url)).mirror
        assert mirror is not None
        with started("run", tiny_file, "-w", url, api=prefect_api) as process:
            try:
                wait_for(ending, area, mirror, process)
            finally:
                process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
        committed |= manifests(mirror)
    assert committed
    monkeypatch.setenv("SEGSPADE_CACHE", str(tmp_path / "machine-0"))
    with started("run", tiny_file, "-w", url, api=prefect_api) as process:
        _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "is being made by process" in error  # as far as can be told, until its lease is over
    # a machine that has nothing of it yet
    monkeypatch.setenv("SEGSPADE_CACHE", str(tmp_path / "machine-2"))
    root = workspace_path(url)
    store = Store(root)
    assert store.mirror is not None
    now = manifests(store.mirror)
    assert committed.items() <= now.items()
    assert digests(root) == digests(made)
    assert store.verify() == []
    assert store.mirror.entries(root / "staging") == []
    assert states_of_second_run(tiny, url) == {"Cached"}
    assert manifests(store.mirror) == now
    assert ("report", "tiny") in {(kind, name) for kind, name, _ in Aliases(root).list()}


def manifests(mirror: Mirror) -> dict[str, str]:
    """Name → etag of every manifest in the bucket."""
    entries = mirror.entries(mirror.root / "artifacts")
    return {entry.name: entry.etag for entry in entries if entry.name.endswith("/manifest.json")}
