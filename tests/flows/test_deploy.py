"""Deployments, worker and automations on a server of their own: what is asked for in the UI runs."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psutil
import pytest
import yaml

from flows.server import find_server, stop_server
from storage.aliases import Aliases
from storage.store import Store

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

Digests = Callable[[Path], dict[str, str]]
LONG = {"encoder": "resnet18", "weights": "none", "epochs": 40, "batch": 6, "lr": 1e-3}
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
        for _ in range(20):
            answer = httpx.post(f"{self.api}/{path}", json=body, timeout=60)
            if answer.status_code != 503:  # SQLite is busy
                break
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json()

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.api}/{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()

    def ask_for(self, deployment: str, **parameters: Any) -> str:
        """Start a run as the UI does. Returns its id."""
        found = self.get(f"deployments/name/{deployment}")
        self.asked_s = time.time()
        return str(self.post(f"deployments/{found['id']}/create_flow_run", {"parameters": parameters})["id"])

    def retrain(self, **changes: Any) -> str:
        return self.ask_for("retrain/retrain", config={**self.config, **changes})

    def ended(self, run: str, within_s: float = 120) -> dict[str, Any]:
        """The state that a run ends in."""
        return wait_for(lambda: (state := self.state(run))["type"] in ENDED and state, within_s)

    def state(self, run: str) -> dict[str, Any]:
        return dict(self.get(f"flow_runs/{run}")["state"])

    def training(self) -> psutil.Process:
        """The child process that trains, once it has saved a checkpoint."""
        child = wait_for(self._trainings, 120)[0]
        kept = self.workspace / "staging"
        wait_for(
            lambda: [
                path
                for path in kept.glob("segmenter/*/checkpoints/last*")
                if path.stat().st_mtime > child.create_time()
            ],
            120,
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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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
            timeout=180,
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
        made_service.worker.wait(30)
    finally:
        made_service.worker.kill()
        made_service.worker.wait()
        stop_server(workspace)


def test_deploying_twice_makes_everything_once(service: Service) -> None:
    deployments = {found["name"]: found for found in service.post("deployments/filter", {})}
    assert set(deployments) == {
        "pipeline", "retrain", "ingest", "segment-split", "synthesize-split", "cycle-report",
    }  # fmt: skip
    (schedule,) = deployments["retrain"]["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("30 4 * * 2", "Europe/Berlin")
    assert schedule["active"]
    assert [
        found["name"] for found in service.post("work_pools/filter", {}) if found["type"] == "process"
    ] == ["segspade"]
    automations = [found["name"] for found in service.post("automations/filter", {})]
    assert sorted(automations) == ["SegSPADE: mark runs that died", "SegSPADE: tell of failed retraining"]
    limits = service.post("v2/concurrency_limits/filter", {})
    assert ("gpu", 1) in [(limit["name"], limit["limit"]) for limit in limits]
    for deployment in deployments.values():
        assert deployment["parameters"]["workspace"] == str(service.workspace)
        assert deployment["description"]
        assert "segspade" in deployment["tags"]


def test_the_schedule_makes_runs(service: Service) -> None:
    """Fault: a schedule that the server cannot write runs for, as with SQLAlchemy 2.1 under Prefect 3.8."""
    found = service.get("deployments/name/retrain/retrain")
    body = {"deployments": {"id": {"any_": [found["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}

    def scheduled() -> list[str]:
        runs = service.post("flow_runs/filter", body)
        return [run["expected_start_time"] for run in runs if run["auto_scheduled"]]

    first = datetime.fromisoformat(wait_for(scheduled, 120)[0]).astimezone(ZoneInfo("Europe/Berlin"))
    assert (first.weekday(), first.hour, first.minute) == (1, 4, 30)


def test_forms_say_what_a_field_means(service: Service) -> None:
    """Fault: a form of bare names, without choices and bounds."""
    for name, model, field in (
        ("segment-split/segment-split", "SegmentRequest", "segmenter"),
        ("synthesize-split/synthesize-split", "SynthesizeRequest", "generator"),
    ):
        schema = service.get(f"deployments/name/{name}")["parameter_openapi_schema"]
        properties = schema["definitions"][model]["properties"]
        assert properties[field]["title"] == field.capitalize()
        assert properties[field]["default"] == f"{field}/production"
        assert properties[field]["examples"]
        assert properties["split"]["enum"] == ["train", "val", "test"]
        assert all("description" in told or "$ref" in str(told) for told in properties.values())


def test_a_retraining_asked_for_runs_and_batches_use_what_is_in_production(service: Service) -> None:
    state = service.ended(service.retrain())
    assert (state["type"], state["name"]) == ("COMPLETED", "Promoted"), state["message"]
    key = Aliases(service.workspace).get("segmenter", "production")
    run = service.ask_for("segment-split/segment-split", what={"images": "dataset/tiny", "limit": 1})
    assert service.ended(run)["type"] == "COMPLETED"
    store = Store(service.workspace)
    made = [store.manifest(ref) for ref in store.refs("label_maps")]
    (ours,) = [manifest for manifest in made if manifest.config["limit"] == 1]
    assert ours.inputs["segmenter"] == f"segmenter/{key}"
    of_run = {"logs": {"flow_run_id": {"any_": [run]}}}
    said = f"segmenter/production is segmenter/{key}"
    wait_for(lambda: said in [log["message"] for log in service.post("logs/filter", of_run)], 20)


def test_a_retraining_that_fails_is_told_of_and_changes_nothing(service: Service) -> None:
    before = Aliases(service.workspace).get("segmenter", "production")
    run = service.retrain(source={"kind": "path", "path": 'nowhere "at all"'})
    state = service.ended(run)
    assert state["type"] == "FAILED"
    (post,) = wait_for(lambda: service.told, 60)
    assert post["state"] == "Failed"
    assert post["run"].startswith("retrain tiny ")
    assert 'nowhere "at all": there is no such file or folder' in post["message"]
    assert post["text"] == f"{post['run']} Failed: {post['message']}"
    assert run in post["url"]
    assert Aliases(service.workspace).get("segmenter", "production") == before


def test_cancelled_in_the_ui_a_training_ends_within_seconds_and_keeps_its_checkpoint(
    service: Service,
) -> None:
    run = service.retrain(segmenter={**LONG, "seed": 1})
    child = service.training()
    began = time.monotonic()
    body = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": False}
    service.post(f"flow_runs/{run}/set_state", body)
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 20)
    assert time.monotonic() - began < 20
    assert service.ended(run)["name"] == "Cancelled"
    assert list((service.workspace / "staging").glob("segmenter/*/checkpoints/last*"))
    wait_for(lambda: not service.processes(), 20)


def test_a_worker_that_is_killed_leaves_no_orphan_and_the_next_run_ends_as_an_unbroken_one(
    service: Service,
    tmp_path: Path,
    command: list[str],
    command_environment: dict[str, str],
    digests: Digests,
) -> None:
    """Fault: a training that goes on without anybody, and holds the lock that the next run waits for."""
    settings = {**LONG, "epochs": 5, "seed": 2}
    whole = shutil.copytree(
        service.workspace, tmp_path / "whole", ignore=shutil.ignore_patterns(".prefect", "staging")
    )
    run = service.retrain(segmenter=settings)
    service.training()
    started = service.processes()
    service.worker.kill()
    service.worker.wait()
    for process in started:
        process.wait(20)  # of no parent any more, they are gone
    assert service.ended(run, 30)["type"] == "CRASHED"
    service.worker = service.start_worker()
    assert service.ended(service.retrain(segmenter=settings))["type"] == "COMPLETED"

    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**service.config, "segmenter": settings}))
    environment = {**command_environment, "OMP_NUM_THREADS": "1", "PREFECT_API_URL": service.api}
    subprocess.run(
        [*command, "retrain", str(config), "-w", str(whole)], env=environment, check=True, timeout=180
    )
    assert digests(service.workspace).items() >= digests(whole).items()
