"""A workspace and a Prefect server that belong to one benchmark, and end with it."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.server import ServerRecord, serving, stop_server

_DRAIN_S = 30


@contextmanager
def own_server(name: str) -> Iterator[tuple[Path, ServerRecord]]:
    """An empty workspace with a running server; neither somebody's server nor their settings of a client.

    Prefect is to be imported within the block, since it reads its settings then. SIGTERM ends the server too.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for variable in list(os.environ):
        if variable.startswith("PREFECT_") and not variable.startswith("PREFECT_SERVER_"):
            del os.environ[variable]
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        workspace = Path(folder)
        try:
            with serving(workspace, lambda _: None) as server:
                yield workspace, server
                _send_what_waits()
        finally:
            stop_server(workspace)


def _send_what_waits() -> None:
    """Let Prefect's threads send logs and events: with the server gone, they would try for minutes."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=_DRAIN_S, at_exit=False)
