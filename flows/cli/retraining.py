"""What `segspade retrain` does: the flow, and how it ended on standard output."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path

import typer
from rich.console import Console

from flows.cli.options import workspace_for_writing
from segspade_core.config import RunConfig
from storage.aliases import Aliases
from storage.store import Store
from tasks.inputs import check_files


def retrain_here(config: RunConfig, workspace: Path, verbose: bool, as_json: bool = False) -> None:
    """Run the flow in this process, and print how it ended."""
    from flows.server import serving

    check_files(config)
    place = workspace_for_writing(workspace)
    with serving(place, Console(stderr=True).print, verbose) as server:
        from flows.retrain import retrain

        state = retrain(config, place, return_state=True)
        report = state.result()  # raises what the run raised
    in_use = {kind: Aliases(place).get(kind, config.retrain.alias) for kind in ("segmenter", "generator")}
    if as_json:
        found = {
            "outcome": state.name,
            "reason": state.message,
            "in_use": {kind: f"{kind}/{key}" for kind, key in in_use.items()},
            "report": str(report),
        }
        typer.echo(jsonlib.dumps(found, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{state.name}[/bold]  {state.message}")
    for kind, key in in_use.items():
        console.print(f"{kind}/{config.retrain.alias}  {key}")
    console.print(f"Report  {Store(workspace).path(report) / 'report.html'}")
    console.print(f"Runs    {server.ui}")
