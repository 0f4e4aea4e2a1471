"""Deployments, worker and automations on a server of their own: what is asked for in the UI runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest
import yaml
from serviced import Service, wait_for

from storage.aliases import Aliases
from storage.store import Store

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

Digests = Callable[[Path], dict[str, str]]
LONG = {"encoder": "resnet18", "weights": "none", "epochs": 40, "batch": 6, "optimiser": {"lr": 1e-3}}


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

    first = datetime.fromisoformat(wait_for(scheduled, 300)[0]).astimezone(ZoneInfo("Europe/Berlin"))
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
    logs = wait_for(
        lambda: (
            (found := [log["message"] for log in service.post("logs/filter", of_run)])
            and said in found
            and found
        ),
        60,
    )
    assert not [line for line in logs if "hook" in line.lower()]


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
    body = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": False}
    service.post(f"flow_runs/{run}/set_state", body)
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 60)
    assert service.ended(run)["name"] == "Cancelled"
    assert list((service.workspace / "staging").glob("segmenter/*/checkpoints/last*"))
    wait_for(lambda: not service.processes(), 60)


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
        process.wait(60)  # of no parent any more, they are gone
    state = service.ended(run, 90)
    assert (state["type"], "termination signal" in state["message"]) == ("CRASHED", True), state["message"]
    service.worker = service.start_worker()
    assert service.ended(service.retrain(segmenter=settings))["type"] == "COMPLETED"

    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**service.config, "segmenter": settings}))
    environment = {**command_environment, "OMP_NUM_THREADS": "1", "PREFECT_API_URL": service.api}
    subprocess.run(
        [*command, "retrain", str(config), "-w", str(whole)], env=environment, check=True, timeout=300
    )
    assert digests(service.workspace).items() >= digests(whole).items()
