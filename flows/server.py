"""The Prefect server of a workspace: found, started when needed, and ended when nobody uses it any more.

A Prefect server takes 10 to 20 s to start. So the first command that runs a flow starts one for the
workspace, detached, and the commands after it find it there. It ends itself when no process that registered
as a client has been alive for `IDLE_S`. With PREFECT_API_URL set, that server is used and none is started.

Run as a module, this file is that server: `python -m flows.server WORKSPACE PORT`.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

IDLE_S = 15 * 60
START_S = 180
_HOST = "127.0.0.1"
_LOOK_EVERY_S = 5.0


class ServerFailed(RuntimeError):
    """The workspace's Prefect server did not start; the message names its log."""


@dataclass(frozen=True)
class ServerRecord:
    """A server that answers: `api` is what PREFECT_API_URL would hold; `pid` is 0 for one not ours."""

    api: str
    pid: int = 0
    created: float = 0.0

    @property
    def ui(self) -> str:
        """Address of the Prefect UI, without a slash at the end."""
        return self.api.removesuffix("/").removesuffix("/api")


def prepare_environment(workspace: Path, verbose: bool = False) -> None:
    """Set Prefect up for a workspace. Call it before Prefect is imported: its settings are read at import."""
    settings = {
        "PREFECT_HOME": str(_home(workspace)),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # the command line says itself what went wrong; the run's log is kept for the UI in any case
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO" if verbose else "CRITICAL",
        # a busy machine answers late, and a run of an hour must not die of one slow answer
        "PREFECT_API_REQUEST_TIMEOUT": "120",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


@contextmanager
def serving(workspace: Path, say: Callable[[str], None], verbose: bool = False) -> Iterator[ServerRecord]:
    """A Prefect server for as long as the block lasts, and PREFECT_API_URL pointing to it.

    Args:
        workspace: the folder whose runs the server keeps, made when missing.
        say: told, in one line, when a server has to be started.
        verbose: let Prefect write its log to the terminal as well.
    """
    prepare_environment(workspace, verbose)
    given = os.environ.get("PREFECT_API_URL")
    if given:
        yield ServerRecord(api=given)
        return
    with _registered(workspace):
        server = find_server(workspace) or _start(workspace, say)
        os.environ["PREFECT_API_URL"] = server.api
        try:
            yield server
        finally:
            os.environ.pop("PREFECT_API_URL", None)


def find_server(workspace: Path) -> ServerRecord | None:
    """The workspace's own server, when it is there and answers."""
    try:
        record = ServerRecord(**json.loads(_record_path(workspace).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if _is_alive(record.pid, record.created) and _answers(record.api) else None


def stop_server(workspace: Path) -> bool:
    """End the workspace's own server. Returns whether there was one."""
    record = find_server(workspace)
    if record is None:
        return False
    try:
        process = psutil.Process(record.pid)
        process.terminate()
        process.wait(timeout=30)
    except psutil.NoSuchProcess:
        pass
    return True


def _home(workspace: Path) -> Path:
    return workspace.absolute() / ".prefect"


def _record_path(workspace: Path) -> Path:
    return _home(workspace) / "server.json"


def _log_path(workspace: Path) -> Path:
    return _home(workspace) / "server.log"


def _is_alive(pid: int, created: float) -> bool:
    """Whether this very process runs: a pid alone may have been given to another since."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _answers(api: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@contextmanager
def _registered(workspace: Path) -> Iterator[None]:
    """Count as a client of the workspace's server. A client that dies is noticed by its pid."""
    folder = _home(workspace) / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / str(os.getpid())
    path.write_text(json.dumps(psutil.Process().create_time()))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _clients(workspace: Path) -> int:
    """How many registered clients are alive; what dead ones left is removed."""
    alive = 0
    for path in (_home(workspace) / "clients").glob("*"):
        try:
            created = float(path.read_text())
        except (OSError, ValueError):
            # written this moment, or gone this moment
            alive += path.exists()
            continue
        if _is_alive(int(path.name), created):
            alive += 1
        else:
            path.unlink(missing_ok=True)
    return alive


def _start(workspace: Path, say: Callable[[str], None]) -> ServerRecord:
    """Start the workspace's server, or wait for the one that another process is starting."""
    with (_home(workspace) / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = find_server(workspace)
        if found is not None:
            return found
        say("Starting the workspace's Prefect server (once; it stays for the next commands) …")
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            port = probe.getsockname()[1]
        with _log_path(workspace).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.server", str(workspace.absolute()), str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is not meant for the server
            )
        return _wait_until_up(workspace, process, port)


def _wait_until_up(workspace: Path, process: subprocess.Popen[bytes], port: int) -> ServerRecord:
    record = ServerRecord(
        f"http://{_HOST}:{port}/api", process.pid, psutil.Process(process.pid).create_time()
    )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(record.api):
            path = _record_path(workspace)
            path.with_suffix(".new").write_text(json.dumps(asdict(record)))
            path.with_suffix(".new").replace(path)
            return record
        time.sleep(0.2)
    if process.poll() is None:
        process.terminate()
    raise ServerFailed(
        f"the Prefect server of this workspace did not start; its log is {_log_path(workspace)}. "
        "Mend what it names, or set PREFECT_API_URL to a server of your own."
    )


def _serve(workspace: Path, port: int) -> None:
    """Be the server until no client has been alive for IDLE_S."""
    prepare_environment(workspace)
    api = f"http://{_HOST}:{port}/api"
    # the server tells its pages where it is: with another port than 4200 they would be empty
    os.environ.update(PREFECT_API_URL=api, PREFECT_SERVER_UI_API_URL=api)
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "WARNING"
    import uvicorn
    from prefect.server.api.server import create_app

    server = uvicorn.Server(
        uvicorn.Config(
            create_app(), host=_HOST, port=port, log_level="error", lifespan="on", timeout_graceful_shutdown=5
        )
    )

    def watch() -> None:
        used = time.monotonic()
        while not server.should_exit:
            time.sleep(_LOOK_EVERY_S)
            if _clients(workspace):
                used = time.monotonic()
            # a workspace that was deleted has no clients either, and nobody could find the server again
            if time.monotonic() - used > IDLE_S or not _home(workspace).exists():
                server.should_exit = True

    threading.Thread(target=watch, name="watch-clients", daemon=True).start()
    server.run()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
