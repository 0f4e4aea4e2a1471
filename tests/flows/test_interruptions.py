"""Runs that are killed, stopped or started twice: they go on, and end with the bytes of an unbroken run."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.store import Store

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

Start = Callable[..., "subprocess.Popen[str]"]
Digests = Callable[[Path], dict[str, str]]


def wait_for(pattern: str, workspace: Path, process: subprocess.Popen[str]) -> None:
    """Until a file of the workspace is called so, which must be before the run is through."""
    deadline = time.monotonic() + 120
    while not any(workspace.glob(pattern)):
        assert process.poll() is None, f"the run ended without {pattern}: {process.communicate()}"
        assert time.monotonic() < deadline, f"{pattern} never came"
        time.sleep(0.005)


@pytest.mark.timeout(300)
def test_killed_and_stopped_runs_end_as_an_unbroken_one(
    tiny_file: Path, made: Path, tmp_path: Path, prefect_api: str, started: Start, digests: Digests
) -> None:
    """Fault: half a shard is taken for whole, a checkpoint is lost, or what was committed is made again."""
    workspace = tmp_path / "workspace"
    kept: dict[Path, int] = {}
    moments = [
        ("staging/dataset/*/done/*.zarr/*.json", signal.SIGKILL),
        ("staging/segmenter/*/checkpoints/*", signal.SIGTERM),
        ("artifacts/images/*/manifest.json", signal.SIGKILL),
    ]
    for pattern, how in moments:
        with started("run", tiny_file, "-w", workspace, api=prefect_api) as process:
            try:
                wait_for(pattern, workspace, process)
            finally:
                process.send_signal(how)
            _, error = process.communicate(timeout=300)
        if how == signal.SIGTERM:
            assert process.returncode == 130, error
            assert "stopped; run the same again to go on from here" in error
            assert "Traceback" not in error
        times = {path: path.stat().st_mtime_ns for path in workspace.glob("artifacts/*/*/manifest.json")}
        assert kept.items() <= times.items()
        kept = times
    with started("run", tiny_file, "-w", workspace, api=prefect_api) as process:
        _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in kept}.items()
    assert digests(workspace) == digests(made)
    assert Store(workspace).verify() == []


@pytest.mark.timeout(300)
def test_of_two_runs_at_once_one_makes_and_the_other_waits(
    tiny_file: Path, made: Path, tmp_path: Path, prefect_api: str, started: Start, digests: Digests
) -> None:
    import shutil

    workspace = shutil.copytree(made, tmp_path / "workspace")
    store = Store(workspace)
    for kind in ("segmenter", "report"):
        for ref in store.refs(kind):
            store.remove(ref)
    command = ("run", tiny_file, "-w", workspace, "--json")
    with started(*command, api=prefect_api) as first, started(*command, api=prefect_api) as second:
        ends: list[Any] = [process.communicate(timeout=300) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), ends
    assert ends[0][0] == ends[1][0]  # the same report, scores and stages
    # who makes one stage may wait at the next
    assert any("waiting for it" in error for _, error in ends)
    assert digests(workspace) == digests(made)
