"""`segspade alias`: names for artifacts, and what they meant before. Needs neither Prefect nor torch."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.cli.errors import reporting_errors
from flows.cli.options import WORKSPACE, JsonOption, WorkspaceOption, existing_workspace, print_json
from segspade_core.errors import InputError
from storage.aliases import Aliases
from storage.places import shown
from storage.refs import ArtifactRef
from storage.store import Store

alias = typer.Typer(help="Names for artifacts, with history.", no_args_is_help=True)

AliasName = Annotated[str, typer.Argument(help="kind/alias, such as segmenter/production")]


@alias.command("list")
def list_aliases(workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """Every alias and what it points to."""
    with reporting_errors():
        store = Store(existing_workspace(workspace))
        found: list[dict[str, Any]] = [
            {
                "kind": kind,
                "name": name,
                "key": key,
                "exists": store.exists(ArtifactRef(kind=kind, key=key)),
            }
            for kind, name, key in Aliases(workspace).list()
        ]
        if json:
            print_json(found)
            return
        if not found:
            Console(stderr=True).print(f"{shown(workspace)} has no aliases yet", soft_wrap=True)
            return
        table = Table("alias", "key", box=box.SIMPLE_HEAD)
        for row in found:
            gone = "" if row["exists"] else "  [red]deleted since[/red]"
            table.add_row(f"{row['kind']}/{row['name']}", row["key"] + gone)
        Console().print(table)


@alias.command("set")
def set_alias(
    name: AliasName,
    target: Annotated[str, typer.Argument(help="key, or the beginning of one, or another alias")],
    reason: Annotated[str, typer.Option(help="kept in the history")] = "",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Point an alias to an artifact."""
    with reporting_errors():
        kind, short = _parse(name)
        ref = Store(existing_workspace(workspace)).resolve(target, kinds=(kind,))
        Aliases(workspace).set(kind, short, ref.key, reason=reason)
        typer.echo(f"{kind}/{short} → {ref.key}")


@alias.command()
def history(
    name: AliasName,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """What an alias pointed to, and since when."""
    with reporting_errors():
        kind, short = _parse(name)
        found = Aliases(existing_workspace(workspace)).history(kind, short)
        entries: list[dict[str, Any]] = [dict(entry) for entry in found]
        if json:
            print_json(entries)
            return
        table = Table("since (UTC)", "key", "reason", box=box.SIMPLE_HEAD)
        for entry in entries:
            table.add_row(str(entry["created"])[:19], entry["key"] or "–", escape(str(entry["reason"])))
        Console().print(table)


@alias.command()
def rollback(
    name: AliasName,
    reason: Annotated[str, typer.Option(help="kept in the history")] = "",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Make an alias mean again what it meant before; a retraining does not promote what was taken back."""
    with reporting_errors():
        kind, short = _parse(name)
        key = Aliases(existing_workspace(workspace)).rollback(kind, short, reason)
        typer.echo(f"{kind}/{short} → {key}")
        Store(workspace).resolve(f"{kind}/{key}")  # says so if it was deleted since


@alias.command("remove")
def remove_alias(name: AliasName, workspace: WorkspaceOption = WORKSPACE) -> None:
    """Forget an alias; what it points to stays, until `artifacts gc`."""
    with reporting_errors():
        kind, short = _parse(name)
        Aliases(existing_workspace(workspace)).remove(kind, short)


def _parse(name: str) -> tuple[str, str]:
    kind, _, short = name.partition("/")
    if not short:
        raise InputError(f"'{name}' is not kind/alias, such as segmenter/production")
    return kind, short
