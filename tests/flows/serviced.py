"""A server with its deployments, a worker, and somebody who is told of failures: for tests to share."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from flows.server import find_server, stop_server

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass
class Service:
    """A workspace with its server, six deployments, a worker, and somebody who is told of failures."""

    workspace: Path
    config: dict[str, Any]
    api: str
    told: list[dict[str, Any]]
    start_worker: Callable[[], subprocess.Popen[bytes]]
    worker: subprocess.Popen[bytes]
    asked_s: float = 0.0

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._answer("POST", path, body)

    def get(self, path: str) -> Any:
        return self._answer("GET", path)

    def _answer(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """What the server says. On a busy machine SQLite may refuse at first, or the answer come too late."""
        for _ in range(20):
            with suppress(httpx.TimeoutException):
                answer = httpx.request(method, f"{self.api}/{path}", json=body, timeout=30)
                if answer.status_code != 503:
                    answer.raise_for_status()
                    return answer.json()
            time.sleep(0.5)
        raise AssertionError(f"the server did not answer {method} {path}")

    def ask_for(self, deployment: str, **parameters: Any) -> str:
        """Start a run as the UI does. Returns its id."""
        found = self.get(f"deployments/name/{deployment}")
        self.asked_s = time.time()
        once = {"parameters": parameters, "idempotency_key": str(uuid.uuid4())}
        return str(self.post(f"deployments/{found['id']}/create_flow_run", once)["id"])

    def retrain(self, **changes: Any) -> str:
        return self.ask_for("retrain/retrain", config={**self.config, **changes})

    def ended(self, run: str, within_s: float = 300) -> dict[str, Any]:
        """The state that a run ends in."""
        return wait_for(lambda: (state := self.state(run))["type"] in ENDED and state, within_s)

    def state(self, run: str) -> dict[str, Any]:
        return dict(self.get(f"flow_runs/{run}")["state"])

    def training(self) -> psutil.Process:
        """The child process that trains, once it has saved a checkpoint."""
        child = wait_for(self._trainings, 300)[0]
        kept = self.workspace / "staging"
        wait_for(
            lambda: [
                path
                for path in kept.glob("segmenter/*/checkpoints/last*")
                if path.stat().st_mtime > child.create_time()
            ],
            300,
        )
        return child

    def _trainings(self) -> list[psutil.Process]:
        """Of the run that was asked for last, and not of one that is just ending."""
        with suppress(psutil.NoSuchProcess):
            return [
                process
                for process in self.processes()
                if "tasks.training_process" in process.cmdline() and process.create_time() > self.asked_s
            ]
        return []

    def processes(self) -> list[psutil.Process]:
        """What the worker started, and what that started."""
        return psutil.Process(self.worker.pid).children(recursive=True)


def wait_for(happened: Callable[[], Any], within_s: float) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := happened():
            return found
        time.sleep(0.2)
    raise AssertionError(f"did not happen within {within_s} s")


@pytest.fixture(scope="session")
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of a webhook on loopback, and what was posted to it."""
    posts: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", posts
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def service(
    made: Path,
    tiny_file: Path,
    told: tuple[str, list[dict[str, Any]]],
    tmp_path_factory: pytest.TempPathFactory,
    command: list[str],
    command_environment: dict[str, str],
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    workspace = shutil.copytree(made, folder / "workspace")
    environment = {**command_environment, "OMP_NUM_THREADS": "1", "PREFECT_LOGGING_LEVEL": "INFO"}
    schedule = ["--cron", "30 4 * * 2", "--timezone", "Europe/Berlin"]
    for _ in range(2):  # once more changes nothing
        subprocess.run(
            [*command, "deploy", str(tiny_file), "-w", str(workspace), *schedule, "--notify", told[0]],
            cwd=folder,
            env=environment,
            check=True,
            timeout=300,
        )

    def start_worker() -> subprocess.Popen[bytes]:
        with (folder / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "worker", "-w", str(workspace)],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
            )

    server = find_server(workspace)
    assert server is not None
    config = yaml.safe_load(tiny_file.read_text())
    config["runtime"]["checkpoint_every_steps"] = 3  # each is 130 MB that goes to the disk
    made_service = Service(workspace, config, server.api, told[1], start_worker, start_worker())
    yield made_service
    made_service.worker.send_signal(signal.SIGINT)
    try:
        made_service.worker.wait(90)
    finally:
        made_service.worker.kill()
        made_service.worker.wait()
        stop_server(workspace)
