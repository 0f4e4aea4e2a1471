"""`segspade compare`: segmenters side by side. Needs no Prefect."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from flows.cli.errors import reporting_errors
from flows.cli.options import (
    WORKSPACE,
    JsonOption,
    WorkspaceOption,
    config_of_options,
    existing_workspace,
    print_json,
)
from segspade_core.config import RuntimeConfig
from segspade_core.errors import InputError
from storage.files import put_bytes
from storage.store import Store


def compare(
    names: Annotated[list[str], typer.Argument(metavar="KEY...", help="keys or aliases of segmenters")],
    out: Annotated[Path | None, typer.Option(help="write a plot too, as .svg")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="how often the speed of each is measured")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Segmenters side by side: mIoU, speed in training and here and now, parameters, multiply-accumulates."""
    with reporting_errors(goes_on=False):
        if out is not None and out.suffix != ".svg":
            raise InputError(f"--out {out}: the plot is written as SVG; give a name that ends in .svg")
        runtime = config_of_options(RuntimeConfig, device=device)
        store = Store(existing_workspace(workspace))
        refs = [store.resolve(name, kinds=("segmenter",)) for name in names]
        from segspade_core.figures.segmenters import comparison_plot
        from segspade_core.figures.svg import standalone
        from tasks.comparing import compare_segmenters

        found = compare_segmenters(workspace, refs, runtime, rounds)
        if out is not None:
            put_bytes(out, standalone(comparison_plot(found.segmenters)).encode())
        if json:
            print_json(asdict(found))
            return
        console = Console()
        console.print(_table(found))
        for note in _notes(found):
            console.print(note, style="dim", highlight=False)


def _table(found: Any) -> Table:
    """Two lines a segmenter, so that 80 columns hold everything: what a heading says first stands first."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("segmenter\nname", no_wrap=True)
    table.add_column("encoder\nhead", no_wrap=True)
    for heading in ("val mIoU\n19 classes", "mIoU in\ntraining", "images/s\ntraining", "M params\nGMACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in found.segmenters:
        table.add_row(
            f"{each.key}\n[dim]{', '.join(each.names)}[/dim]",
            f"{each.encoder}\n{each.head}",
            f"{_percent(each.scored_miou)}\n{_percent(each.scored_miou_19)}",
            f"{_percent(each.val_miou)}\nof {each.classes}",
            f"{_rate(each.images_per_second)}\n{_rate(each.training_images_per_second)}",
            f"{each.parameters / 1e6:.2f}\n{each.macs / 1e9:.2f}",
        )
    return table


def _notes(found: Any) -> list[str]:
    sizes = ", ".join(dict.fromkeys(each.size for each in found.segmenters))
    how = f"median of {found.rounds} rounds" if found.rounds > 1 else "in one round"
    notes = [f"Images a second on {found.device}, {how}, and GMACs, at {sizes}."]
    if len({each.dataset for each in found.segmenters}) > 1:
        notes.append(
            "They were trained on different datasets: mIoU, and what depends on the size, do not compare."
        )
    ways: dict[str, list[str]] = {}
    for each in found.segmenters:
        if each.scored_at is not None:
            ways.setdefault(each.scored_at, []).append(each.key)
    if len(ways) == 1:
        notes.append(f"val mIoU is at {next(iter(ways))}.")
    elif ways:
        told = "; ".join(f"of {', '.join(keys)} at {way}" for way, keys in ways.items())
        notes.append(f"val mIoU was measured in several ways, which do not compare: {told}.")
    if any(each.scored_miou is None for each in found.segmenters):
        notes.append("– is what nobody measured: `segspade score` scores a segmenter on val.")
    return notes


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
