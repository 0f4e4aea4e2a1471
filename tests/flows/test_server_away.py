"""A server that goes away while a run is under way, and comes back: the run waits, and makes nothing anew."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from servers import ended, free_port, prefect_server, wait_for

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

AWAY_S = 5


@pytest.mark.timeout(400)
def test_a_run_outlives_a_restart_of_its_server(
    tiny_file: Path,
    made: Path,
    tmp_path: Path,
    started: Callable[..., subprocess.Popen[str]],
    digests: Callable[[Path], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault: the first request that nobody answers ends the run; or what was made before is made again."""
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    home, port, workspace = tmp_path / "server", free_port(), tmp_path / "workspace"
    home.mkdir()
    with ExitStack() as left:
        with prefect_server(home, port) as api:
            run = started("run", tiny_file, "-w", workspace, api=api)
            left.enter_context(ended(run, signal.SIGTERM))
            wait_for(lambda: any(workspace.glob("staging/segmenter/*/checkpoints/*")), run)
        before = manifests(workspace)
        assert before
        time.sleep(AWAY_S)
        with prefect_server(home, port):
            _, said = run.communicate(timeout=300)
            assert run.returncode == 0, said
            runs = httpx.post(f"{api}/flow_runs/filter", json={}, timeout=60).json()
    assert {each["state_type"] for each in runs if each["name"].startswith("pipeline")} == {"COMPLETED"}
    assert before.items() <= manifests(workspace).items()
    assert digests(workspace) == digests(made)


def manifests(workspace: Path) -> dict[Path, int]:
    """Path → time of what is committed."""
    return {path: path.stat().st_mtime_ns for path in workspace.glob("artifacts/*/*/manifest.json")}
