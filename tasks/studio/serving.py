"""The studio as a server, for as long as somebody wants it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segspade_core.config import RuntimeConfig
from segspade_core.errors import InputError
from tasks.picture_models import ChosenModels, load_models

USER = "segspade"
MAX_UPLOAD = "200mb"


def serve(
    workspace: Path,
    chosen: ChosenModels,
    runtime: RuntimeConfig,
    names: dict[str, Any],
    *,
    host: str,
    port: int,
    password: str | None,
    open_browser: bool,
    ready: Callable[[str], None],
) -> None:
    """Serve the page until it is interrupted.

    Args:
        names: of the models, for what is saved.
        port: 0 takes one that is free.
        password: for the user 'segspade'; None lets everybody in.
        ready: told the address, once it answers.

    Raises:
        InputError: the port cannot be had.
    """
    port = _free(host, port)
    # nothing is fetched, and nobody told
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
    from tasks.studio.page import CSS, SCRIPT, build_page, theme
    from tasks.studio.scene import Studio

    studio = Studio(load_models(workspace, chosen, runtime, keep_tables=True), names)
    studio.warm_up()
    page = build_page(studio, f"Segmenter and generator: {chosen}.")
    page.queue(default_concurrency_limit=1, api_open=False)
    _, url, _ = page.launch(
        server_name=host,
        server_port=port,
        auth=None if password is None else (USER, password),
        inbrowser=open_browser,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=True,
        footer_links=[],
        max_file_size=MAX_UPLOAD,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        theme=theme(),
        css=CSS,
        js=SCRIPT,
    )
    ready(url)
    try:
        threading.Event().wait()
    finally:
        page.close(verbose=False)


def _free(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"{host} port {port}: cannot be had ({error.strerror}); give another --port, 0 for a free one"
            ) from error
        return int(probe.getsockname()[1])
