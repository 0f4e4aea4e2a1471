"""`segspade artifacts verify`, `remove` and `gc`: whether what is kept is whole, and what may go."""

from __future__ import annotations

import threading
import time
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.artifacts import artifacts, human_bytes
from flows.cli.errors import reporting_errors
from flows.cli.options import WORKSPACE, JsonOption, WorkspaceOption, existing_workspace, print_json
from segspade_core.errors import InputError
from storage.errors import StorageError
from storage.refs import ArtifactRef
from storage.store import Problem, Store
from tasks.progress import progress

_MB = 10**6


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
    done, lock = 0, threading.Lock()
    total = sum(_bytes_of(store, ref) for ref in chosen)
    with progress("verify", total // _MB, "MB") as bar:

        def on_bytes(count: int) -> None:
            nonlocal done
            with lock:
                before, done = done, done + count
            if before // _MB < done // _MB:
                bar.move_to(done // _MB)

        problems = store.verify(chosen[0] if one else None, quick=quick, on_bytes=on_bytes)
    return problems, done


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
        raise InputError(f"{ref}: {', '.join(by[:3])}{more} reach it; --force deletes it all the same")


@artifacts.command()
def gc(
    delete: Annotated[
        bool, typer.Option("--delete", help="delete what is listed; without it, only list")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Garbage: what no alias and no report reaches, and what dead runs left half made."""
    with reporting_errors():
        store = Store(existing_workspace(workspace))
        plan = store.gc_plan()
        items = store.gc(plan) if delete else plan.items
        if json:
            found = [{"path": str(item.path), "bytes": item.bytes, "why": item.why} for item in items]
            print_json({"deleted": delete, "items": found})
            return
        for item in items:
            did = "deleted" if delete else "would delete"
            typer.echo(f"{did}  {human_bytes(item.bytes):>9}  {item.path}  ({item.why})")
        total = human_bytes(sum(item.bytes for item in items))
        end = "" if delete or not items else "; --delete deletes them"
        Console(stderr=True).print(f"{len(items)} items, {total}{end}", highlight=False)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
