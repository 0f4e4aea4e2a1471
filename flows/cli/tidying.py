"""`segspade tidy`: what Prefect keeps of runs that ended long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from flows.cli.artifacts import human_bytes
from flows.cli.errors import reporting_errors
from flows.cli.options import WORKSPACE, JsonOption, WorkspaceOption, existing_workspace, print_json
from segspade_core.errors import InputError
from storage.places import shown

if TYPE_CHECKING:
    from flows.tidying import Leftovers

_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


def tidy(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="what ended longer ago, such as 12h, 30d or 8w")
    ] = "30d",
    keep_last: Annotated[int, typer.Option(min=0, help="runs of each flow that stay, however old")] = 20,
    yes: Annotated[bool, typer.Option("--yes", help="delete what is listed; without it, only list")] = False,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Old runs on the Prefect server, with their tasks, logs and panels, and Prefect's result files.

    Artifacts are never touched: `segspade artifacts gc` is for those.
    """
    with reporting_errors():
        age = parse_age(older_than)
        place = existing_workspace(workspace).absolute()
        before = moment_ago(age, older_than)
        from flows.server import serving

        console = Console(stderr=True, highlight=False)
        with serving(place, console.print) as server:
            from flows.tidying import find_leftovers

            shared = not server.pid
            leftovers = find_leftovers(place, before, keep_last, shared)
            if yes:
                leftovers = _delete(leftovers, console)
        if json:
            _print_json(leftovers, yes)
            return
        if leftovers.histories or leftovers.results:
            Console().print(_table(leftovers, yes))
        if shared:
            console.print(f"of the runs on this server, those in {shown(place)} alone", soft_wrap=True)
        runs, files = _count(leftovers.runs, "run"), _count(len(leftovers.results), "result file")
        end = "; --yes deletes them" if not yes and (leftovers.runs or leftovers.results) else ""
        console.print(f"{runs}, {files}, {human_bytes(leftovers.bytes)}{end}", soft_wrap=True)


def parse_age(text: str) -> timedelta:
    """A whole number of hours, days or weeks.

    Raises:
        InputError: it is none.
    """
    match = re.fullmatch(r"(\d+)([hdw])", text, flags=re.ASCII)
    if match is None:
        raise InputError(f"--older-than {text}: not a number of hours, days or weeks, such as 12h, 30d or 8w")
    try:
        return timedelta(hours=int(match[1]) * _HOURS[match[2]])
    except (OverflowError, ValueError) as error:
        raise InputError(f"--older-than {text}: longer ago than there are dates") from error


def moment_ago(age: timedelta, text: str) -> datetime:
    """So long before now; `text` is what was typed.

    Raises:
        InputError: there was no such moment.
    """
    try:
        return datetime.now(UTC) - age
    except OverflowError as error:
        raise InputError(f"--older-than {text}: longer ago than there are dates") from error


def _delete(leftovers: Leftovers, console: Console) -> Leftovers:
    from flows.tidying import delete_leftovers

    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("deleting", total=leftovers.runs)
        return delete_leftovers(leftovers, lambda: progress.advance(bar))


def _table(leftovers: Leftovers, deleted: bool) -> Table:
    did = "deleted" if deleted else "would delete"
    table = Table("what", box=box.SIMPLE_HEAD)
    for column in (did, "stay", "size"):
        table.add_column(column, justify="right", no_wrap=True)
    for history in leftovers.histories:
        table.add_row(f"runs of {history.flow}", str(len(history.old)), str(history.stay), "")
    table.add_row("result files", str(len(leftovers.results)), "", human_bytes(leftovers.bytes))
    return table


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _print_json(leftovers: Leftovers, deleted: bool) -> None:
    runs = [
        {"flow": history.flow, "old": len(history.old), "stay": history.stay}
        for history in leftovers.histories
    ]
    results = {"files": len(leftovers.results), "bytes": leftovers.bytes}
    print_json({"deleted": deleted, "before": leftovers.before.isoformat(), "runs": runs, "results": results})
