"""`segspade deploy` and `worker`: runs that start by themselves."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.errors import reporting_errors
from flows.cli.options import (
    WORKSPACE,
    SetOption,
    WorkspaceOption,
    load_run_config,
    workspace_for_writing,
)
from segspade_core.errors import InputError
from storage.places import shown
from tasks.inputs import check_files

WEEKLY = "0 3 * * 1"


def deploy(
    config: Annotated[
        Path | None, typer.Argument(help="YAML of the run that is repeated; without it, the drawn city")
    ] = None,
    settings: SetOption = None,
    cron: Annotated[str, typer.Option(help="when `retrain` starts by itself")] = WEEKLY,
    timezone: Annotated[str, typer.Option(help="that `--cron` is meant in, such as Europe/Berlin")] = "UTC",
    notify: Annotated[
        str | None, typer.Option(help="webhook to post to when a retraining failed", envvar="SEGSPADE_NOTIFY")
    ] = None,
    accelerators: Annotated[
        int, typer.Option(min=1, help="models that may train or predict at once, over all workers")
    ] = 1,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Create, or bring up to date, what scheduled runs need: work pool, limit, deployments, automations.

    Flows will run in this folder, by `segspade worker`.
    """
    with reporting_errors():
        if config is None and settings:
            raise InputError("--set changes settings of a CONFIG: name one, such as configs/minicity.yaml")
        run = None if config is None else load_run_config(config, settings or [])
        if run is not None:
            check_files(run)
        from flows.server import serving

        console = Console(stderr=True, soft_wrap=True, highlight=False)
        place = workspace_for_writing(workspace)
        with serving(place, console.print) as server:
            from flows.deploying import Schedule
            from flows.deploying import deploy as deploy_all

            deploy_all(place, run, Schedule(cron, timezone), notify, accelerators, console.print)
            console.print(f"Runs and deployments  {server.ui}")
            console.print("What to type next     segspade worker" + _option(workspace))


def worker(
    limit: Annotated[int, typer.Option(min=1, help="runs at a time")] = 4,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Run what is scheduled or asked for in the UI, until Ctrl-C. The workspace's server stays as long."""
    with reporting_errors():
        from flows.server import joining

        console = Console(stderr=True, soft_wrap=True, highlight=False)
        place = workspace_for_writing(workspace)
        server = joining(place, console.print)
        from flows.deploying import POOL, is_anything_deployed

        if not is_anything_deployed():
            console.print(
                f"Nothing is deployed here, so no run will ever be due: segspade deploy{_option(workspace)}"
            )
        console.print(f"Runs and deployments  {server.ui}")
        name = f"{socket.gethostname()}-{os.getpid()}"
        command = ["-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        command += ["--name", name, "--limit", str(limit)]
        sys.stderr.flush()
        # a shell starts what runs in the background deaf to Ctrl-C, and Prefect ends a worker by that signal,
        # also where it was sent SIGTERM
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # in place of this process: signals meet the worker, and so does the server that asks who is alive
        os.execv(sys.executable, [sys.executable, *command])


def _option(workspace: Path) -> str:
    return "" if workspace == WORKSPACE else f" --workspace {shown(workspace)}"
