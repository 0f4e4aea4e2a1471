"""Servers that tests start as an administrator would, on loopback, and end with all that they started."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import prefect
import psutil

from storage.places import cache

HOST = "127.0.0.1"


@contextmanager
def prefect_server(home: Path, port: int, **settings: str) -> Iterator[str]:
    """A Prefect server that keeps all in `home`, and its address; it answers by then."""
    api = f"http://{HOST}:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    template = cache() / f"prefect-{prefect.__version__}.db"
    own = not any("DATABASE_CONNECTION_URL" in name for name in settings)
    if own and template.exists() and not (home / "prefect.db").exists():
        shutil.copy(template, home / "prefect.db")  # a quarter of a minute sooner
    with (home / "server.log").open("a") as log:
        environment = {**os.environ, "PREFECT_HOME": str(home), **settings}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    with ended(process, signal.SIGTERM):
        wait_for(lambda: answers(api), process, home / "server.log")
        yield api


@contextmanager
def ended(process: subprocess.Popen[Any], how: signal.Signals) -> Iterator[None]:
    """At the end of the block the process is gone, with all that it started."""
    try:
        yield
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(how)
        try:
            process.wait(timeout=90)  # a worker sees its runs off, which takes its time on a busy machine
        finally:
            process.kill()
            process.wait()
            _, left = psutil.wait_procs(family, timeout=15)
            for each in left:
                each.kill()
    assert not left, f"still there after {process.args}: {left}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(
    happens: Callable[[], object],
    process: subprocess.Popen[Any],
    log: Path | None = None,
    within_s: float = 240,
) -> None:
    deadline = time.monotonic() + within_s
    while not happens():
        about = "" if log is None else log.read_text()
        assert process.poll() is None, f"{process.args} ended: {about}"
        assert time.monotonic() < deadline, f"{process.args} was not ready in time: {about}"
        time.sleep(0.2)
