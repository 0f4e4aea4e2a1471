"""`segspade cycle`: a split round and round, and what becomes of its maps."""

from __future__ import annotations

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
    VerboseOption,
    WorkspaceOption,
    config_of_options,
    existing_workspace,
    parse_splits,
    print_json,
    workspace_for_writing,
)
from flows.cli.stage_commands import LimitOption, SplitOption
from segspade_core.config import CycleDepthConfig, PaintConfig
from storage.store import Store

_DEFAULTS = CycleDepthConfig.model_fields


def cycle(
    dataset: Annotated[str, typer.Argument(help="key or alias of a dataset")],
    segmenter: Annotated[str, typer.Argument(help="key or alias of a segmenter")],
    generator: Annotated[str, typer.Argument(help="key or alias of a generator")],
    rounds: Annotated[int, typer.Option(help="how often maps are painted and read again, 1 to 50")] = 8,
    split: SplitOption = "val",
    limit: LimitOption = None,
    style: Annotated[str, typer.Option(help="mean, sample:SEED, or image:ID of a photograph")] = "mean",
    city: Annotated[str | None, typer.Option(help="one the generator knows; else each frame's own")] = None,
    time_of_day: Annotated[str | None, typer.Option(help="likewise, such as night")] = None,
    rest: Annotated[
        float, typer.Option(help="at rest: fewer pixels than this share change in a round")
    ] = _DEFAULTS["rest"].default,
    dead: Annotated[
        float, typer.Option(help="dead: fewer than this share of a class's first pixels, for good")
    ] = _DEFAULTS["dead"].default,
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Photograph → map → painting → map … over a split: does it come to rest, which classes die first?

    Every round is kept: the same with more rounds goes on from there.
    """
    with reporting_errors():
        (of,) = parse_splits([split])
        config = config_of_options(
            CycleDepthConfig, split=of, limit=limit, rounds=rounds, rest=rest, dead=dead
        )
        paint = config_of_options(PaintConfig, style=style, city=city, time_of_day=time_of_day)
        store = Store(existing_workspace(workspace))
        refs = [
            store.resolve(text, kinds=(kind,))
            for text, kind in ((dataset, "dataset"), (segmenter, "segmenter"), (generator, "generator"))
        ]
        from flows.server import serving

        place = workspace_for_writing(workspace)
        with serving(place, Console(stderr=True).print, verbose):
            from flows.cycle_rounds import cycle_rounds

            made = cycle_rounds(*refs, config, paint=paint, workspace=place)
        from tasks.cycle_depth import PAGE, read_depth

        summary, page = read_depth(place, made), Store(place).path(made) / PAGE
        if json:
            print_json({"depth": str(made), "page": str(page), **summary})
            return
        _show(summary, made, page)


def _show(summary: dict[str, Any], made: Any, page: Path) -> None:
    from segspade_core.figures.cycle_depth_page import deaths_sentence, rest_sentence

    Console().print(_table(summary))
    console = Console(soft_wrap=True, highlight=False)
    console.print(rest_sentence(summary))
    console.print(deaths_sentence(summary))
    console.print(f"{made}; look at\n{page}", markup=False)


def _table(summary: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    headings = (
        # of three lines, for a terminal of 80 columns
        *("round", "like\nthe\nfirst", "mIoU\nwith the\nfirst", "boundary\nF1", "boundary\nlength"),
        *("like\nthe one\nbefore", "mIoU with\nthe one\nbefore", "pixels\nchanged", "classes"),
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in summary["by_round"]:
        table.add_row(
            str(row["round"]),
            *(_percent(row[f"{name}_first"]) for name in ("accuracy", "miou", "boundary_f1")),
            _ratio(row["boundary_length_ratio_first"]),
            *(_percent(row[name]) for name in ("accuracy_before", "miou_before", "changed")),
            str(row["classes"]),
        )
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
