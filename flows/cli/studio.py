"""`segspade studio`: a page to paint label maps on. Needs no Prefect."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.errors import reporting_errors
from flows.cli.options import WORKSPACE, WorkspaceOption, config_of_options
from flows.cli.trying import DeviceName, GeneratorName, SegmenterName, model_names, tell_shipped
from segspade_core.config import RuntimeConfig
from segspade_core.errors import InputError

PASSWORD = "SEGSPADE_STUDIO_PASSWORD"
_SHORTEST = 8
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def studio(
    host: Annotated[
        str, typer.Option(help="address to listen at; any but loopback needs a password")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free")] = 7860,
    open_browser: Annotated[bool, typer.Option("--open", help="open it in the browser")] = False,
    segmenter: SegmenterName = None,
    generator: GeneratorName = None,
    device: DeviceName = "auto",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Paint on label maps in the browser, and see what the generator makes of them.

    The password for other addresses than loopback is read from $SEGSPADE_STUDIO_PASSWORD; the user is
    'segspade'.
    """
    with reporting_errors(goes_on=False):
        password = os.environ.get(PASSWORD)
        if host not in _LOOPBACK and not password:
            raise InputError(
                f"--host {host}: others reach it there; set {PASSWORD} to a password, or leave --host out"
            )
        if password is not None and len(password) < _SHORTEST:
            raise InputError(
                f"{PASSWORD} is shorter than {_SHORTEST} characters; set it to a longer password"
            )
        runtime = config_of_options(RuntimeConfig, device=device)
        from tasks.picture_models import choose_models

        chosen = choose_models(workspace, segmenter, generator)
        tell_shipped(chosen, workspace, segmenter, generator)
        from tasks.studio.serving import serve

        console = Console(highlight=False, soft_wrap=True)
        serve(
            workspace,
            chosen,
            runtime,
            model_names(chosen),
            host=host,
            port=port,
            password=password,
            open_browser=open_browser,
            ready=lambda url: console.print(f"the studio is at {url} ; Ctrl-C ends it"),
        )
