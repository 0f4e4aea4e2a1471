"""Everything that scheduled runs need on a Prefect server, created or brought up to date in one go."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.server.schemas.schedules import CronSchedule
from prefect.workers.process import ProcessWorker

from flows.automations import automate
from segspade_core.config import RunConfig
from segspade_core.errors import InputError
from storage.places import shown

POOL = "segspade"
ACCELERATOR_LIMIT = "gpu"


@dataclass(frozen=True)
class Schedule:
    """When `retrain` starts by itself."""

    cron: str
    timezone: str


def prefect_file() -> Path:
    """The project's: beside the packages in a checkout, within this one in an installed wheel."""
    here = Path(__file__).parent
    return next(path for path in (here.parent / "prefect.yaml", here / "prefect.yaml") if path.is_file())


def deploy(
    workspace: Path,
    config: RunConfig | None,
    schedule: Schedule | None,
    notify: str | None,
    accelerators: int,
    say: Callable[[str], None],
) -> None:
    """Create or renew the work pool, the limit, the deployments and the automations.

    Args:
        workspace: that all deployments work in.
        config: of `pipeline` and `retrain`; None: the one in prefect.yaml.
        schedule: of `retrain`; None: the one in prefect.yaml.
        notify: address of a webhook that is told of a retraining that failed; None: nobody is told.
        accelerators: how many models may train or predict at once, over all workers.
        say: told in one line what is there now.

    Raises:
        InputError: Prefect does not take the schedule or the config; `notify` is no address.
    """
    if notify is not None and not _is_address(notify):
        raise InputError(
            f"--notify {notify}: not an address such as https://example.org/hook; give one, or leave it out"
        )
    due = None if schedule is None else next_due(schedule)
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
        client.upsert_global_concurrency_limit_by_name(ACCELERATOR_LIMIT, accelerators)
    say(f"work pool '{POOL}', concurrency limit '{ACCELERATOR_LIMIT}' of {accelerators}")
    names = _deploy_all(_document(workspace, config, schedule))
    say("deployments " + ", ".join(names))
    if due is not None:
        say(f"retrain is due next on {due:%Y-%m-%d at %H:%M} ({due.tzinfo})")
    for name in automate(notify):
        say(f"automation '{name}'")


def is_anything_deployed() -> bool:
    """Whether a worker would ever be asked for a run."""
    with get_client(sync_client=True) as client:
        return bool(client.read_deployments(limit=1))


def _is_address(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def next_due(schedule: Schedule) -> datetime:
    """The next moment a schedule names, as Prefect understands it, in the schedule's time zone.

    Raises:
        InputError: there is none, or no such time zone; names the option.
    """
    if schedule.timezone not in available_timezones():
        raise InputError(
            f"--timezone {schedule.timezone!r}: there is no such time zone; give one such as Europe/Berlin"
        )
    try:
        (due,) = asyncio.run(CronSchedule(cron=schedule.cron, timezone=schedule.timezone).get_dates(1))
    except ValueError as error:
        raise InputError(
            f"--cron {schedule.cron!r}: not a schedule, or one that is never due; it has minute, hour, day, "
            "month and weekday, as in '0 3 * * 1': three o'clock on Mondays"
        ) from error
    return due.astimezone(ZoneInfo(schedule.timezone))


def _document(workspace: Path, config: RunConfig | None, schedule: Schedule | None) -> dict[str, Any]:
    """prefect.yaml with what was asked for in place of its examples."""
    document: dict[str, Any] = yaml.safe_load(prefect_file().read_text())
    document.pop("definitions")  # YAML's anchors, which are resolved by now
    for deployment in document["deployments"]:
        deployment["parameters"]["workspace"] = shown(workspace)
        if config is not None and "config" in deployment["parameters"]:
            deployment["parameters"]["config"] = config.model_dump(mode="json", exclude_unset=True)
        if schedule is not None and "schedules" in deployment:
            deployment["schedules"][0] |= {"cron": schedule.cron, "timezone": schedule.timezone}
    return document


def _deploy_all(document: dict[str, Any]) -> list[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(document, file, sort_keys=False)
        file.flush()
        # from this folder: it is where flows will run
        command = ["-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file.name]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    if done.returncode:
        raise InputError(
            f"Prefect does not take the deployments:\n{(done.stderr or done.stdout)[-2000:].strip()}"
        )
    return [str(deployment["name"]) for deployment in document["deployments"]]
