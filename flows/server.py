"""The Prefect server of a workspace: found, started when needed, and ended when nobody uses it any more.

A Prefect server takes 5 to 20 s to start. So the first command that runs a flow starts one for the
workspace, detached (see `server_process`), and the commands after it find it there. It ends itself when no
process that registered as a client has been alive for a while. With PREFECT_API_URL set, that server is used
and none is started.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from segspade_core.errors import InputError
from storage.errors import DiskFull

START_S = 180
HEARTBEAT_S = 30  # the least that Prefect takes
_STOP_S = 30
HOST = "127.0.0.1"
# bytes: a new database with its journal takes ten million
_ROOM = 12 * 10**6
_COMMAND = [sys.executable, "-m", "flows.server_process"]


# servers that outlive this process on purpose: Python warns of a child that is forgotten while it runs
_started: list[subprocess.Popen[bytes]] = []
# never left: see `joining`
_joined = ExitStack()


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
        "PREFECT_HOME": str(home_of(workspace)),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # the command line says itself what went wrong; the run's log is kept for the UI in any case
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO" if verbose else "CRITICAL",
        # a busy machine answers late, and a run of an hour must not die of one slow answer
        "PREFECT_API_REQUEST_TIMEOUT": "120",
        # and a server that is started anew is away for a minute or two: four of patience
        "PREFECT_CLIENT_MAX_RETRIES": "7",
        # a run that is silent for longer is taken for dead, whoever started it: see flows/automations.py
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


@contextmanager
def serving(
    workspace: Path, say: Callable[[str], None], verbose: bool = False, port: int | None = None
) -> Iterator[ServerRecord]:
    """A Prefect server for as long as the block lasts, and PREFECT_API_URL pointing to it.

    Args:
        workspace: the folder whose runs the server keeps, made when missing.
        say: told, in one line, when a server has to be started.
        verbose: let Prefect write its log to the terminal as well.
        port: where a server of the workspace's own is to listen; None: at one that is free.

    Raises:
        InputError: PREFECT_API_URL does not answer, or not to us; or `port` cannot be had.
        ServerFailed: the server did not start.
        DiskFull: there is no room for its database.
    """
    prepare_environment(workspace, verbose)
    given = os.environ.get("PREFECT_API_URL")
    if given:
        if not _is_reachable(given):
            raise InputError(
                f"PREFECT_API_URL is {given}, but nothing answers there; start that server, "
                "or unset the variable to use one of the workspace's own"
            )
        if not _lets_in(given):
            raise InputError(
                f"PREFECT_API_URL is {given}, and that server does not let in who asks; set "
                "PREFECT_API_AUTH_STRING to what it has as PREFECT_SERVER_API_AUTH_STRING"
            )
        yield ServerRecord(api=given)
        return
    with _registered(workspace):
        server = find_server(workspace) or _start(workspace, say, port)
        if port is not None and not server.api.startswith(f"http://{HOST}:{port}/"):
            raise InputError(
                f"--port {port}: the workspace's server is at {server.ui} already; "
                "end it first with `segspade ui --stop`"
            )
        os.environ["PREFECT_API_URL"] = server.api
        try:
            yield server
        finally:
            os.environ.pop("PREFECT_API_URL", None)


def joining(workspace: Path, say: Callable[[str], None]) -> ServerRecord:
    """As `serving`, for as long as this process lives, and whatever program it becomes."""
    return _joined.enter_context(serving(workspace, say, verbose=True))


def find_server(workspace: Path) -> ServerRecord | None:
    """The workspace's own server, when it is there and answers."""
    try:
        record = ServerRecord(**json.loads(_record_path(workspace).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if is_alive(record.pid, record.created) and _answers(record.api) else None


def stop_server(workspace: Path) -> bool:
    """End the workspace's own server. Returns whether there was one."""
    record = find_server(workspace)
    if record is None:
        return False
    try:
        process = psutil.Process(record.pid)
        process.terminate()
        if not _ends(record):
            # it waits for answers that nobody takes; its database bears a sudden end
            process.kill()
            _ends(record)
    except psutil.NoSuchProcess:
        pass
    for child in _started:
        child.poll()  # one of ours is no child any more
    return True


def _ends(record: ServerRecord) -> bool:
    """Wait for a server that was told to end. One whose parent has not noticed yet has ended as well."""
    deadline = time.monotonic() + _STOP_S
    while is_alive(record.pid, record.created):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def home_of(workspace: Path) -> Path:
    """Where Prefect keeps what belongs to the workspace."""
    return workspace.absolute() / ".prefect"


def _record_path(workspace: Path) -> Path:
    return home_of(workspace) / "server.json"


def _log_path(workspace: Path) -> Path:
    return home_of(workspace) / "server.log"


def is_alive(pid: int, created: float) -> bool:
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


def _is_reachable(api: str) -> bool:
    """Whether some server answers, be it only that it wants to know who asks."""
    try:
        return _answers(api) or _says_no(api)
    except ValueError:
        return False  # not an address at all


def _says_no(api: str) -> bool:
    try:
        urllib.request.urlopen(f"{api}/health", timeout=10).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _lets_in(api: str) -> bool:
    """Whether the server takes our authentication string. Its health it tells to anybody, its version not."""
    from prefect.settings import get_current_settings  # a profile of Prefect's may hold the string, too

    request = urllib.request.Request(f"{api}/admin/version")
    string = get_current_settings().api.auth_string
    if string is not None:
        token = base64.b64encode(string.get_secret_value().encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.code not in (401, 403)
    except OSError:
        return True  # it was there a moment ago: what becomes of it is Prefect's to say
    return True


@contextmanager
def _registered(workspace: Path) -> Iterator[None]:
    """Count as a client of the workspace's server. A client that dies is noticed by its pid."""
    folder = home_of(workspace) / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / str(os.getpid())
    path.write_text(json.dumps(psutil.Process().create_time()))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _refuse_full_disk(workspace: Path) -> None:
    """A database whose making was cut short by a full disk is never mended: better not to begin."""
    free = shutil.disk_usage(workspace).free
    if free < _ROOM:
        raise DiskFull(
            f"{home_of(workspace)}: {free / 1e6:.1f} MB are free, and the Prefect server's database wants "
            f"{_ROOM / 1e6:.0f} MB; make room (`segspade artifacts gc` shows what can go), and run it again"
        )


def _start(workspace: Path, say: Callable[[str], None], port: int | None) -> ServerRecord:
    """Start the workspace's server, or wait for the one that another process is starting."""
    with (home_of(workspace) / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = find_server(workspace)
        if found is not None:
            return found
        _refuse_full_disk(workspace)
        port = _port(port) if port is not None else _free_port(_last_port(workspace))
        say("Starting the workspace's Prefect server (once; it stays for the next commands) …")
        with _log_path(workspace).open("ab") as log:
            process = subprocess.Popen(
                [*_COMMAND, str(workspace.absolute()), str(port), str(lock.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is not meant for the server
                # it keeps the lock until it is up: when this process is killed, the next waits for the server
                # that is coming, in place of starting another
                pass_fds=(lock.fileno(),),
            )
        _started.append(process)
        return _wait_until_up(workspace, process)


def _port(wanted: int) -> int:
    """A port that can be listened at; 0: any that is free."""
    with socket.socket() as probe:
        # as the server does: a port that was just left is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise InputError(
                f"--port {wanted}: cannot be had ({error.strerror}); give another, or none for a free one"
            ) from error
        return int(probe.getsockname()[1])


def _free_port(liked: int) -> int:
    try:
        return _port(liked)
    except InputError:
        return _port(0)


def _last_port(workspace: Path) -> int:
    """Where the workspace's server was before: workers that wait for it find it there again. 0: nowhere."""
    try:
        return urlsplit(json.loads(_record_path(workspace).read_text())["api"]).port or 0
    except (OSError, ValueError, TypeError, KeyError):
        return 0


def _wait_until_up(workspace: Path, process: subprocess.Popen[bytes]) -> ServerRecord:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        found = find_server(workspace)
        if found is not None:
            return found
        time.sleep(0.2)
    if process.poll() is None:
        process.terminate()
    raise ServerFailed(
        f"the Prefect server of this workspace did not start; its log is {_log_path(workspace)}. "
        "Mend what it names, or set PREFECT_API_URL to a server of your own."
    )


def write_record(workspace: Path, api: str) -> None:
    """Say that this process is the workspace's server, now that it answers at `api`."""
    process = psutil.Process()
    record = ServerRecord(api, process.pid, process.create_time())
    path = _record_path(workspace)
    path.with_suffix(".new").write_text(json.dumps(asdict(record)))
    path.with_suffix(".new").replace(path)
