"""`segspade push` and `pull`: artifacts between workspaces, such as a laptop's and a bucket."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from flows.cli.artifacts import human_bytes
from flows.cli.errors import reporting_errors
from flows.cli.options import (
    WORKSPACE,
    WorkspaceOption,
    existing_workspace,
    named_workspace,
    workspace_for_writing,
)
from segspade_core.errors import InputError
from storage.aliases import Aliases
from storage.manifest import Manifest, removing
from storage.moving import Move, check_apart, move, plan_move
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.progress import bytes_progress, say

Names = Annotated[list[str], typer.Argument(help="kind/key, the beginning of a key, or kind/alias")]
AloneOption = Annotated[bool, typer.Option("--alone", help="without what it was made from")]
AliasOption = Annotated[
    str | None, typer.Option("--alias", metavar="NAME", help="what the copy is called there, by itself")
]


def _other(flag: str, help: str) -> Any:
    return typer.Option(flag, help=help, parser=named_workspace, metavar="PATH")


def push(
    names: Names,
    to: Annotated[Path, _other("--to", "folder or URL, such as s3://bucket/prefix; made when missing")],
    alone: AloneOption = False,
    alias: AliasOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Copy artifacts, with what they were made from, to another workspace.

    Every byte is compared with its digest. What is there already is not copied again, and a copy that was
    stopped goes on when the same is run again.
    """
    with reporting_errors():
        source = Store(existing_workspace(workspace))
        _copy("push", "--to", source, names, to, alone, alias)


def pull(
    names: Names,
    source: Annotated[Path, _other("--from", "folder or URL, such as s3://bucket/prefix")],
    alone: AloneOption = False,
    alias: AliasOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Copy artifacts, with what they were made from, from another workspace into this one.

    See push.
    """
    with reporting_errors():
        _copy(
            "pull", "--workspace", Store(existing_workspace(source, "--from")), names, workspace, alone, alias
        )


def _copy(
    what: str, option: str, source: Store, names: list[str], to: Path, alone: bool, alias: str | None
) -> None:
    refs = list(dict.fromkeys(source.resolve(name) for name in names))
    if alias is not None and len(refs) != 1:
        raise InputError(f"--alias {alias}: names one artifact, and these are {len(refs)}")
    named = None if alias is None else Aliases(to).get(refs[0].kind, alias)  # fails where it is no name
    target = Store(workspace_for_writing(to, option))
    check_apart(source, target)
    planned = plan_move(source, target, refs, alone=alone)
    started = time.monotonic()
    with bytes_progress(what, planned.bytes) as on_bytes:

        def tell(manifest: Manifest) -> None:
            size = sum(record.bytes for record in manifest.files)
            say(f"copied {manifest.ref}, {human_bytes(size)}")

        move(source, target, planned.copied, on_bytes=on_bytes, on_wait=say, on_done=tell)
    if alias is not None and named != refs[0].key:
        Aliases(target.root).set(refs[0].kind, alias, refs[0].key, reason=f"copied from {source.where}")
    _tell(planned, source, target, time.monotonic() - started)
    for ref in refs:
        typer.echo(f"{ref}{_named(ref, alias)}")


def _tell(planned: Move, source: Store, target: Store, seconds: float) -> None:
    """What was done, and what may surprise."""
    console = Console(stderr=True, soft_wrap=True)
    count = len(planned.copied)
    rate = f" in {seconds:.1f} s, {human_bytes(planned.bytes / max(seconds, 1e-3))}/s" if count else ""
    there = len(planned.kept) + len(planned.differing)
    console.print(
        f"{count} artifact{'s' * (count != 1)}, {human_bytes(planned.bytes)} copied to {target.where}{rate}; "
        f"{there} there already",
        highlight=False,
    )
    for manifest in planned.differing:
        console.print(
            f"{manifest.ref}: {target.where} has other contents under this key, made {manifest.created}, and "
            f"they were kept. {removing(str(manifest.ref), target.where).partition(',')[0]}; the same again "
            "copies it then",
            style="yellow",
            highlight=False,
        )
    for ref in planned.lost:
        console.print(
            f"{ref}: was deleted from {source.where}, and could not be copied with what was made from it",
            style="yellow",
            highlight=False,
        )


def _named(ref: ArtifactRef, alias: str | None) -> str:
    return "" if alias is None else f"  {ref.kind}/{alias}"
