"""`segspade submit`: predictions for the Cityscapes server. Needs neither Prefect nor torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.errors import reporting_errors
from flows.cli.options import WORKSPACE, WorkspaceOption, existing_workspace
from storage.store import Store


def submit(
    name: Annotated[str, typer.Argument(metavar="KEY", help="key or alias of predicted label maps")],
    out: Annotated[Path, typer.Argument(help="folder to make; an empty one may be there")],
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write predicted label maps as the Cityscapes server wants them: label ids as PNG of 1024x2048."""
    with reporting_errors():
        ref = Store(existing_workspace(workspace)).resolve(name, kinds=("label_maps",))
        from tasks.submitting import write_submission

        made = write_submission(workspace, ref, out)
        typer.echo(f"wrote {made.written} label maps of {made.split} to {out}")
        if made.written < made.frames:
            typer.echo(
                f"the dataset has {made.frames} frames of {made.split}; the server wants all", err=True
            )
