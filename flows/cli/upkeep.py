"""`segspade artifacts verify`, `remove`, `gc` and `du`: whether what is kept is whole, and what may go."""

from __future__ import annotations

import shutil
import time
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from flows.cli.artifacts import artifacts, human_bytes
from flows.cli.errors import reporting_errors
from flows.cli.options import WORKSPACE, JsonOption, WorkspaceOption, existing_workspace, print_json
from flows.cli.tidying import moment_ago, parse_age
from segspade_core.errors import InputError
from storage.errors import StorageError
from storage.manifest import removing
from storage.refs import KINDS, ArtifactRef
from storage.store import Problem, Store
from storage.usage import Usage, usage
from tasks.progress import bytes_progress


@artifacts.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="one artifact; none checks all")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="only sizes, manifests and the indexes of shards")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Read every byte again and compare digests. Exit status 3 when a file is damaged or missing."""
    with reporting_errors():
        store = Store(existing_workspace(workspace))
        chosen = store.refs() if name is None else [store.resolve(name)]
        started = time.monotonic()
        problems, count = _look_at(store, chosen, name is not None, quick)
        seconds = time.monotonic() - started
        if json:
            print_json(
                [
                    {"ref": str(problem.ref), "file": problem.file, "what": problem.what}
                    for problem in problems
                ]
            )
        else:
            for problem in problems:
                typer.echo(str(problem), err=True)
            for ref in dict.fromkeys(str(problem.ref) for problem in problems):
                typer.echo(f"to mend it: {removing(ref, store.where)}", err=True)
            did = "looked over" if quick else "read"
            rate = f" in {seconds:.1f} s, {human_bytes(count / max(seconds, 1e-3))}/s" if not quick else ""
            Console(stderr=True, soft_wrap=True).print(
                f"{_count(len(chosen), 'artifact')}, {human_bytes(count)} {did}{rate}, "
                f"{_count(len(problems), 'problem')}",
                highlight=False,
            )
        if problems:
            raise typer.Exit(3)


def _look_at(store: Store, chosen: list[ArtifactRef], one: bool, quick: bool) -> tuple[list[Problem], int]:
    """Problems, and how many bytes were looked at; a bar shows megabytes meanwhile."""
    with bytes_progress("verify", sum(_bytes_of(store, ref) for ref in chosen)) as on_bytes:
        problems = store.verify(chosen[0] if one else None, quick=quick, on_bytes=on_bytes)
    return problems, on_bytes.count


def _bytes_of(store: Store, ref: ArtifactRef) -> int:
    try:
        return sum(file.bytes for file in store.manifest(ref).files)
    except (StorageError, OSError):
        return 0  # what is wrong with it is told as a problem


@artifacts.command("remove")
def remove_artifacts(
    names: Annotated[list[str], typer.Argument(help="kind/key, the beginning of a key, or kind/alias")],
    force: Annotated[bool, typer.Option("--force", help="also what an alias or a report reaches")] = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Delete artifacts; a run that needs one makes it again, under the same key."""
    with reporting_errors():
        store = Store(existing_workspace(workspace))
        refs = list(dict.fromkeys(store.resolve(name) for name in names))
        if not force:
            for ref in refs:
                _refuse_reached(store, ref)
        for ref in refs:
            store.remove(ref)
            typer.echo(f"deleted {ref}")


def _refuse_reached(store: Store, ref: ArtifactRef) -> None:
    by = store.reached_by(ref)
    if by:
        more = f" and {len(by) - 3} more" if len(by) > 3 else ""
        raise InputError(f"{ref}: reached by {', '.join(by[:3])}{more}; --force deletes it all the same")


@artifacts.command()
def gc(
    delete: Annotated[
        bool, typer.Option("--delete", help="delete what is listed; without it, only list")
    ] = False,
    keep_last: Annotated[
        int, typer.Option(min=0, help="of each kind and stage, so many of the youngest stay")
    ] = 0,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="only what is older, such as 12h, 30d or 8w")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Garbage: what no alias and no report reaches, and what dead runs left half made.

    What stays, stays with all that it was made from.
    """
    with reporting_errors():
        store = Store(existing_workspace(workspace))
        before = None if older_than is None else moment_ago(parse_age(older_than), older_than)
        plan = store.gc_plan(keep_last, before)
        items = store.gc(plan) if delete else plan.items
        if json:
            found = [
                {"path": store.shown_path(item.path), "bytes": item.bytes, "why": item.why} for item in items
            ]
            print_json({"deleted": delete, "items": found})
            return
        for item in items:
            did = "deleted" if delete else "would delete"
            typer.echo(f"{did}  {human_bytes(item.bytes):>9}  {store.shown_path(item.path)}  ({item.why})")
        total = human_bytes(sum(item.bytes for item in items))
        end = "" if delete or not items else "; --delete deletes them"
        Console(stderr=True).print(f"{_count(len(items), 'item')}, {total}{end}", highlight=False)


@artifacts.command()
def du(
    kind: Annotated[str | None, typer.Argument(help="only this kind, such as dataset")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """What takes room: bytes of every kind, of its artifacts, largest first, and of what is half made.

    Files that several artifacts share (hard links) count once in sums.
    """
    with reporting_errors():
        store = Store(existing_workspace(workspace))
        if kind not in (None, *KINDS):
            raise InputError(f"'{kind}' is no kind of artifact; the kinds are {', '.join(KINDS)}")
        used = usage(store, kind)
        # of a bucket nobody knows
        free = None if store.mirror is not None else shutil.disk_usage(workspace).free
        if json:
            print_json(_usage_as_json(used, free))
            return
        if used.folders:
            Console().print(_usage_table(used))
        shared = f", {human_bytes(used.shared)} shared" if used.shared else ""
        left = "" if free is None else f"; {human_bytes(free)} are free"
        Console(stderr=True, soft_wrap=True).print(
            f"{human_bytes(used.bytes)} in {store.where}{shared}{left}", highlight=False
        )


def _usage_table(used: Usage) -> Table:
    table = Table("kind", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("key", no_wrap=True)
    for column in ("size", "of it shared"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, uses in used.groups().items():
        total, shared = used.sums[name], sum(use.shared for use in uses)
        table.add_row(
            f"[bold]{name}[/bold]", _count(len(uses), "folder"), human_bytes(total), _or_none(shared)
        )
        for use in sorted(uses, key=lambda each: -each.bytes):
            table.add_row("", use.label, human_bytes(use.bytes), _or_none(use.shared))
    return table


def _or_none(count: int) -> str:
    return human_bytes(count) if count else ""


def _usage_as_json(used: Usage, free: int | None) -> dict[str, Any]:
    groups = used.groups()
    return {
        "bytes": used.bytes,
        "shared": used.shared,
        "free": free,
        "kinds": {name: used.sums[name] for name in groups},
        "folders": [
            {"in": name, "key": use.label, "bytes": use.bytes, "shared": use.shared}
            for name, uses in groups.items()
            for use in uses
        ],
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
