"""`segspade demo`, `run` and `ui`: whole runs, and the page that shows them."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.errors import reporting_errors
from flows.cli.options import (
    WORKSPACE,
    JsonOption,
    SetOption,
    VerboseOption,
    WorkspaceOption,
    existing_workspace,
    load_run_config,
    workspace_for_writing,
)
from flows.cli.summary import shipped_config, summarise_run
from segspade_core.config import RunConfig
from tasks.inputs import check_files

DEMO_CONFIG = "minicity.yaml"


def demo(
    workspace: WorkspaceOption = WORKSPACE, settings: SetOption = None, verbose: VerboseOption = False
) -> None:
    """Draw a city, learn to segment it, paint it back and report; minutes on two cores."""
    with reporting_errors():
        _run(load_run_config(shipped_config(DEMO_CONFIG), settings or []), workspace, verbose, demo=True)


def run(
    config: Annotated[Path, typer.Argument(help="YAML file of one whole run, such as configs/camvid.yaml")],
    settings: SetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Run everything that CONFIG asks for; what is made already is used."""
    with reporting_errors():
        _run(load_run_config(config, settings or []), workspace, verbose, as_json=json)


def retrain(
    config: Annotated[Path, typer.Argument(help="YAML file of one whole run, such as configs/camvid.yaml")],
    settings: SetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Train a challenger on what CONFIG's source holds today; promote it if it beats the segmenter in use.

    How it is judged stands in the config under `retrain`, such as --set retrain.decision.margin=0.01.
    """
    with reporting_errors():
        from flows.cli.retraining import retrain_here

        retrain_here(load_run_config(config, settings or []), workspace, verbose, as_json=json)


def _run(
    config: RunConfig, workspace: Path, verbose: bool, as_json: bool = False, demo: bool = False
) -> None:
    from flows.server import serving

    check_files(config)  # before a server is started for nothing
    place = workspace_for_writing(workspace)
    since = datetime.now(UTC).replace(microsecond=0)  # as precise as manifests are
    with serving(place, Console(stderr=True).print, verbose) as server:
        from flows.pipeline import pipeline

        report = pipeline(config, place)
        summarise_run(workspace, report, server.ui, as_json=as_json, demo=demo, since=since)


def ui(
    workspace: WorkspaceOption = WORKSPACE,
    browser: Annotated[bool, typer.Option(help="open it in a browser")] = True,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="of the server; without it, one that is free")
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="end the workspace's server instead")] = False,
) -> None:
    """Show the runs of this workspace in the Prefect UI, until Ctrl-C."""
    from flows.server import serving, stop_server

    console = Console(stderr=True)
    with reporting_errors():
        if stop:
            console.print(
                "server ended" if stop_server(workspace) else "no server of this workspace is running"
            )
            return
        # an existing one: a name that is misspelt must not become a workspace of no runs
        with serving(existing_workspace(workspace), console.print, port=port) as server:
            console.print(f"Prefect UI: [link={server.ui}]{server.ui}[/link]   (Ctrl-C to leave)")
            if browser and sys.stdout.isatty():
                typer.launch(server.ui)
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                console.print("left; the server ends itself when nobody uses it for a quarter of an hour")
