"""The workspace's own Prefect server: found again, and gone when nobody uses it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows import server
from flows.server import ServerRecord, find_server, serving, stop_server
from flows.server_process import clients
from segspade_core.errors import InputError
from storage.errors import DiskFull


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `serving` sets for this process is gone after the test."""
    for name in (
        "PREFECT_HOME",
        "PREFECT_API_URL",
        "PREFECT_API_REQUEST_TIMEOUT",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))


def record(workspace: Path, process: psutil.Process) -> None:
    folder = workspace / ".prefect"
    folder.mkdir(parents=True, exist_ok=True)
    content = {"api": "http://127.0.0.1:9/api", "pid": process.pid, "created": process.create_time()}
    (folder / "server.json").write_text(json.dumps(content))


def test_a_record_of_a_server_that_does_not_answer_is_none(tmp_path: Path) -> None:
    assert find_server(tmp_path) is None
    record(tmp_path, psutil.Process())
    assert find_server(tmp_path) is None
    (tmp_path / ".prefect" / "server.json").write_text('{"api": ')
    assert find_server(tmp_path) is None
    assert not stop_server(tmp_path)


def test_a_pid_that_was_given_to_another_is_not_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: `segspade ui --stop` ends a process of somebody else's."""
    monkeypatch.setattr(server, "_answers", lambda _api: True)
    record(tmp_path, psutil.Process())
    assert find_server(tmp_path) == ServerRecord(
        "http://127.0.0.1:9/api", os.getpid(), psutil.Process().create_time()
    )
    content = json.loads((tmp_path / ".prefect" / "server.json").read_text())
    (tmp_path / ".prefect" / "server.json").write_text(json.dumps({**content, "created": 1.0}))
    assert find_server(tmp_path) is None


def test_clients_that_died_do_not_count(tmp_path: Path) -> None:
    folder = tmp_path / ".prefect" / "clients"
    folder.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        created = psutil.Process(gone.pid).create_time()
    (folder / str(gone.pid)).write_text(json.dumps(created))
    (folder / str(os.getpid())).write_text(json.dumps(psutil.Process().create_time()))
    assert clients(tmp_path) == 1
    assert [path.name for path in folder.iterdir()] == [str(os.getpid())]


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(
                InputError, match=rf"^--port {port}: cannot be had \(Address already in use\); give"
            ),
            serving(tmp_path, lambda _: None, port=port),
        ):
            pass


def test_no_server_is_started_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: its database is cut short in the making, and no server of the workspace ever starts again."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=11_000_000, total=10**9))
    monkeypatch.setattr(server.subprocess, "Popen", None)
    wants = r"\.prefect: 11\.0 MB are free, and the Prefect server's database wants 12 MB; make room \("
    with pytest.raises(DiskFull, match=wants), serving(tmp_path, lambda _: None):
        pass
    assert not (tmp_path / ".prefect" / "server.log").exists()


def test_a_server_that_wants_a_password_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: with PREFECT_API_AUTH_STRING every run is refused before Prefect can say who asks."""
    import urllib.error
    from email.message import Message

    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.HTTPError("http://there/api/health", 401, "who are you?", Message(), None)

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert server._is_reachable("http://there/api")
    assert not server._answers("http://there/api")
    monkeypatch.undo()
    assert not server._is_reachable("nonsense")


def test_a_server_comes_back_where_it_was_unless_that_is_taken(tmp_path: Path) -> None:
    """Fault: workers that wait for a server that was started anew wait for ever."""
    assert server._last_port(tmp_path) == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        (tmp_path / ".prefect").mkdir()
        (tmp_path / ".prefect" / "server.json").write_text(
            json.dumps({"api": f"http://127.0.0.1:{port}/api"})
        )
        assert server._last_port(tmp_path) == port
        taken.listen()
        assert server._free_port(port) not in (0, port)
    assert server._free_port(port) == port


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_server_is_started_once_found_again_and_ends_when_nobody_uses_it(tmp_path: Path) -> None:
    said: list[str] = []
    with serving(tmp_path, said.append) as first:
        assert os.environ["PREFECT_API_URL"] == first.api
        # else a run that a person started is marked as dead after 90 s
        assert os.environ["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert "PREFECT_API_URL" not in os.environ
    process = psutil.Process(first.pid)
    try:
        with serving(tmp_path, said.append) as second:
            assert second == first
        assert len(said) == 1
        assert stop_server(tmp_path)
    finally:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            process.kill()
    assert find_server(tmp_path) is None
    # one that waits for a second only, started as the first was, ends by itself
    script = "import sys, pathlib\nfrom flows.server_process import serve\n"
    script += "serve(pathlib.Path(sys.argv[1]), int(sys.argv[2]), idle_s=1)"
    port = first.api.rpartition(":")[2].partition("/")[0]
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path), port]) as idle:
        assert idle.wait(timeout=120) == 0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_server_whose_starter_was_killed_is_waited_for(tmp_path: Path) -> None:
    """Fault: every command that is killed while the server comes up leaves a server of its own behind."""
    script = "import pathlib, sys\nfrom flows.server import serving\n"
    script += "with serving(pathlib.Path(sys.argv[1]), lambda line: print(line, flush=True)):\n    pass"
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert b"Starting" in starter.stdout.readline()
        time.sleep(0.5)
        starter.kill()
    said: list[str] = []
    try:
        with serving(tmp_path, said.append) as found:
            assert said == []
            assert psutil.Process(found.pid).ppid() != os.getpid()
    finally:
        assert stop_server(tmp_path)


def test_a_server_whose_parent_has_not_noticed_its_end_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a wait of half a minute, and then a traceback, for a process that is only a name any more."""
    monkeypatch.setattr(server, "_answers", lambda _api: True)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        record(tmp_path, psutil.Process(child.pid))
        began = time.monotonic()
        assert stop_server(tmp_path)  # ours, and not waited for
        assert time.monotonic() - began < server._STOP_S
        assert child.wait(1) == -15


def test_a_server_that_does_not_end_when_told_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_answers", lambda _api: True)
    monkeypatch.setattr(server, "_STOP_S", 0.5)
    deaf = "from signal import *; signal(SIGTERM, SIG_IGN); print(flush=True); pause(); pause()"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it is deaf by now
        record(tmp_path, psutil.Process(child.pid))
        try:
            assert stop_server(tmp_path)
            assert child.wait(1) == -9
        finally:
            child.kill()
