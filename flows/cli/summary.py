"""What a run says at its end: scores, seconds per stage, where the report lies, what to type next."""

from __future__ import annotations

import json as jsonlib
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from segspade_core.errors import InputError
from segspade_core.figures.painting import painting_table
from segspade_core.metrics.painting_names import NONE
from storage.manifest import Manifest
from storage.places import shown
from storage.refs import ArtifactRef
from storage.store import Store

PAGE = "report.html"
_ARROWS = {"lower is better": "↓", "higher is better": "↑"}
# beside the packages in a checkout; within this one in an installed wheel (see pyproject.toml)
_CONFIG_FOLDERS = (
    Path(__file__).parent.parent.parent / "configs",
    Path(__file__).parent.parent / "shipped_configs",
)


def shipped_config(name: str) -> Path:
    """The YAML of a run that comes with the project, such as 'minicity.yaml'.

    Raises:
        InputError: there is none of this name.
    """
    for folder in _CONFIG_FOLDERS:
        if (folder / name).is_file():
            return folder / name
    there = sorted(path.name for folder in _CONFIG_FOLDERS for path in folder.glob("*.yaml"))
    raise InputError(f"{name}: no such config comes with SegSPADE; there are {', '.join(there) or 'none'}")


def summarise_run(
    workspace: Path,
    report: ArtifactRef,
    ui: str,
    as_json: bool = False,
    demo: bool = False,
    since: datetime | None = None,
) -> None:
    """Print how a run ended, on standard output.

    Args:
        workspace: where the artifacts are.
        report: what the run made last.
        ui: address of the Prefect UI.
        as_json: print JSON, for programs.
        demo: say what a newcomer may type next.
        since: when the run began; tells what was made since from what was there. None: nothing was.
    """
    store = Store(workspace)
    manifests = [store.manifest(ref) for ref in store.lineage(report) if store.exists(ref)]
    scores = next(manifest for manifest in manifests if manifest.kind == "scores")
    summary = jsonlib.loads((store.path(scores.ref) / "scores.json").read_bytes())
    page = store.path(report) / PAGE
    if as_json:
        stages = [
            {"stage": each.stage, "artifact": str(each.ref), "seconds": each.seconds} for each in manifests
        ]
        found = {"report": str(report), "page": str(page), "ui": ui, "scores": summary, "stages": stages}
        typer.echo(jsonlib.dumps(found, indent=2))
        return
    console = Console()
    console.print(_scores(summary))
    _print_painting(console, summary.get("painting", {}))
    console.print(_stages(manifests, scores, since))
    console.print(f"[bold]Report[/bold]  {page}", soft_wrap=True, highlight=False)
    console.print(f"[bold]Runs[/bold]    {ui}  ({_program()} ui{_option(workspace)})", highlight=False)
    console.print("\nWhat to type next:", highlight=False)
    for command, what in _next(workspace, manifests, demo):
        console.print(f"  [cyan]{command}[/cyan]  {what}", soft_wrap=True, highlight=False)


def _scores(summary: dict[str, Any]) -> Table:
    table = Table("split", "comparison", title="Scores", box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("samples", "pixel accuracy", "mIoU", "mIoU, 19 classes", "boundary F1"):
        table.add_column(column, justify="right")
    for split, comparisons in summary["splits"].items():
        for comparison, row in comparisons.items():
            table.add_row(
                split,
                comparison.replace("_", " "),
                str(row["samples"]),
                _percent(row["ids"]["pixel_accuracy"]),
                _percent(row["ids"]["miou"]),
                _percent(row["train_ids"]["miou"]),
                _percent(row.get("boundary_f1")),
            )
    return table


def _print_painting(console: Console, painting: dict[str, Any]) -> None:
    """A row a score, a column a set of painted images; what is missing, and how to get it."""
    found = painting_table(painting)
    if found is None:
        return
    table = Table(
        "painted from",
        title="Quality of painting: photographs against painted images",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    for column in found.columns:
        table.add_column(f"{column.source},\n{column.count} of {column.split}", justify="right")
    for row in found.rows:
        if any(value != NONE for value in row.values):
            table.add_row(f"{row.short} {_ARROWS[row.better]}", *row.values)
    console.print(table)
    for note in found.left_out:
        console.print(f"{note}.", soft_wrap=True, highlight=False, style="dim")


def _stages(manifests: list[Manifest], scores: Manifest, since: datetime | None) -> Table:
    """As long as it took to make each artifact, be it in this run or in an earlier one that it comes from."""
    roles = {str(ref): role.replace(".", " ").replace("_", " ") for role, ref in scores.inputs.items()}
    table = Table("stage", box=box.SIMPLE_HEAD, title="Stages", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("artifact", no_wrap=True)
    table.add_column("seconds", justify="right")
    table.add_column("made (UTC)", no_wrap=True)
    now = [each for each in manifests if since is None or datetime.fromisoformat(each.created) >= since]
    for each in manifests:
        # segment and synthesize occur several times
        what = f"{each.stage} {roles[str(each.ref)]}" if each.kind in ("label_maps", "images") else each.stage
        made = "just now" if each in now else each.created[:16].replace("T", " ")
        table.add_row(what, str(each.ref), f"{each.seconds:.1f}", made)
    seconds = sum(each.seconds for each in now)
    table.caption = (
        f"{len(now)} made since the run began, in {seconds:.0f} s; {len(manifests) - len(now)} were there"
    )
    table.caption_justify = "left"
    return table


def _next(workspace: Path, manifests: list[Manifest], demo: bool) -> list[tuple[str, str]]:
    segspade, option = _program(), _option(workspace)
    painted = next(manifest for manifest in reversed(manifests) if manifest.kind == "images")
    commands = [
        (f"{segspade} ui{option}", "shows this run and its tasks"),
        (f"{segspade} export images/{painted.key} painted{option}", "writes the painted photographs as PNG"),
        (f"{segspade} artifacts list{option}", "lists everything that was made"),
    ]
    if demo:
        commands += [
            (
                f"{segspade} run configs/camvid.yaml --set source.path=CamVid",
                "does the same with real photographs, where you have them",
            ),
            (f"{segspade} doctor", "tells what this machine has"),
        ]
    return commands


def _program() -> str:
    """How `segspade` is typed: by its path when the environment's folder is not on PATH, as after `make`."""
    called = Path(sys.argv[0])
    if called.name != "segspade" or shutil.which("segspade"):
        return "segspade"
    return os.path.relpath(called)


def _option(workspace: Path) -> str:
    return "" if workspace.absolute() == Path("workspace").absolute() else f" --workspace {shown(workspace)}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
