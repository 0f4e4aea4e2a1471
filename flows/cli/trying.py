"""`segspade try`: one photograph in, everything out. Needs no Prefect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.cli.errors import reporting_errors
from flows.cli.options import WORKSPACE, JsonOption, WorkspaceOption, config_of_options, print_json
from segspade_core.config import PictureConfig, RuntimeConfig
from segspade_core.errors import InputError
from storage.places import shown

SegmenterName = Annotated[
    str | None, typer.Option(help="key or alias, or 'shipped' [production, else shipped]")
]
GeneratorName = Annotated[str | None, typer.Option(help="likewise")]
DeviceName = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]


def try_(
    photographs: Annotated[
        list[Path] | None, typer.Argument(help="of any size, in any format that Pillow reads")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="folder to write into; each picture gets one of its own there")
    ] = Path("tried"),
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="begin with this label map, of ids or official colours; repeatable"),
    ] = None,
    city: Annotated[
        str | None, typer.Option(help="paint as in this city, of those the generator knows")
    ] = None,
    time_of_day: Annotated[str | None, typer.Option(help="such as day, dusk or night")] = None,
    style: Annotated[Path | None, typer.Option(help="paint in the style of this photograph")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="paint in a style that is drawn by this number")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HEIGHTxWIDTH", help="to work at [about that of the models' training]"),
    ] = None,
    segmenter: SegmenterName = None,
    generator: GeneratorName = None,
    device: DeviceName = "auto",
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Segment photographs, paint the maps, segment the paintings; write every picture of it as a file."""
    with reporting_errors():
        runtime = config_of_options(RuntimeConfig, device=device)
        from tasks.picture_models import choose_models, load_models
        from tasks.progress import progress
        from tasks.trying import asked_style, plan_pictures, try_picture

        named, style_image = asked_style(seed, style)
        plan = plan_pictures(photographs or [], labels or [], out, style)
        config = config_of_options(PictureConfig, size=size, city=city, time_of_day=time_of_day, style=named)
        chosen = choose_models(workspace, segmenter, generator)
        tell_shipped(chosen, workspace, segmenter, generator)
        models = load_models(workspace, chosen, runtime)
        if config.size is not None:
            models.check_size(config.size)
        code = models.code(config, style_image)
        asked = config.model_dump(mode="json", include=_ASKED)
        about = model_names(chosen) | asked
        told = {name.replace("_", " "): value for name, value in about.items() if value is not None}
        note = "; ".join(f"{name}: {value}" for name, value in told.items())
        tried, problems = [], plan.problems
        with progress("try", len(plan.pictures), "picture") as bar:
            for picture in plan.pictures:
                try:
                    tried.append(try_picture(models, picture, code, config.size, about, note))
                except InputError as error:
                    problems.append(str(error))
                bar.advance()
        if json:
            print_json([_brief(each) for each in tried])
        elif tried:
            Console().print(_table(tried))
            looks = "\n".join(escape(str(each.picture.folder / "panel.png")) for each in tried[:_SHOWN])
            more = f"\nand {len(tried) - _SHOWN} more" if len(tried) > _SHOWN else ""
            count = sum(len(each.files) for each in tried)
            Console(soft_wrap=True, highlight=False).print(f"{count} files; look at\n{looks}{more}")
        for hint in filter(None, (each.hint for each in tried)):
            Console(stderr=True, soft_wrap=True, highlight=False).print(escape(hint))
        if problems:
            raise InputError("\n".join(problems))


_SHOWN = 5
_SCORES = ("accuracy", "miou", "boundary_f1")
_ASKED = {"style", "city", "time_of_day"}


def model_names(chosen: Any) -> dict[str, Any]:
    """Kind → artifact, or 'shipped'."""
    named = {"segmenter": chosen.segmenter, "generator": chosen.generator}
    return {kind: "shipped" if ref is None else str(ref) for kind, ref in named.items()}


def tell_shipped(chosen: Any, workspace: Path, segmenter: str | None, generator: str | None) -> None:
    """Say which models stand in for those that nobody named."""
    unasked = [
        kind
        for kind, named in (("segmenter", segmenter), ("generator", generator))
        if kind in chosen.shipped and named is None
    ]
    if unasked:
        where = f"{shown(workspace)} has no {' or '.join(f'{kind}/production' for kind in unasked)}"
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        console.print(
            f"{where}: the shipped {' and '.join(unasked)} {'stand' if len(unasked) > 1 else 'stands'} in, "
            "which learned from a drawn city. Name others with "
            + " and ".join(f"--{kind}" for kind in unasked)
            + ", or with `segspade alias set`."
        )


def _table(tried: list[Any]) -> Table:
    table = Table("picture", box=box.SIMPLE_HEAD)
    for name in ("worked at", "pixels alike", "mIoU", "boundary F1"):
        table.add_column(name, justify="right")
    for each in tried:
        scores = each.agreement
        table.add_row(
            escape(each.picture.path.name),
            f"{each.size[0]}x{each.size[1]}",
            # NaN where a map is all void
            *("–" if scores[name] != scores[name] else f"{scores[name]:.1%}" for name in _SCORES),
        )
    return table


def _brief(tried: Any) -> dict[str, Any]:
    return {
        "picture": str(tried.picture.path),
        "folder": str(tried.picture.folder),
        "size": list(tried.size),
        "agreement": {name: value if value == value else None for name, value in tried.agreement.items()},
        "files": [path.name for path in tried.files],
    }
