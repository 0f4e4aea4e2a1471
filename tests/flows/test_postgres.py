"""A server worth keeping: Prefect on a real PostgreSQL, behind an authentication string."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import HOST, ended, free_port, prefect_server, wait_for

from segspade_core.config import MinicityConfig
from storage.store import Store
from tasks.minicity_folder import draw_folder

FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
pytestmark = [
    pytest.mark.prefect,
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDERS, reason="no PostgreSQL here: install Debian's package postgresql"),
]

NAME, PASSWORD = "segspade", "a-password"
STRING = "admin:a string"


@dataclass
class Server:
    """A Prefect server, and the database that it keeps its runs in."""

    api: str
    home: Path
    query: Callable[[str], str]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET, or POST where there is a body."""
        auth = tuple(STRING.split(":"))
        answer = httpx.request(
            "GET" if body is None else "POST", f"{self.api}/{path}", json=body, auth=auth, timeout=60
        )
        answer.raise_for_status()
        return answer.json()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """On loopback, in temporary folders; gone afterwards, with every process."""
    home = tmp_path_factory.mktemp("prefect")
    with postgres() as (url, query):
        settings = {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": url,
            "PREFECT_SERVER_API_AUTH_STRING": STRING,
        }
        with prefect_server(home, free_port(), **settings) as api:
            yield Server(api, home, query)


@contextmanager
def postgres() -> Iterator[tuple[str, Callable[[str], str]]]:
    """A database server: its address as Prefect wants it, and what asks it in SQL."""
    # not in pytest's folder, which nobody but the user who runs the tests may enter
    folder = Path(tempfile.mkdtemp(prefix="segspade-postgres-"))
    binaries = FOLDERS[-1].parent
    given: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = next(
            name for name in ("postgres", "nobody") if name in {each.pw_name for each in pwd.getpwall()}
        )
        given = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    data, port = folder / "data", free_port()
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    make = ["--pgdata", data, "--username", "postgres", "--pwfile", folder / "password"]
    make += ["--auth", "scram-sha-256", "--no-sync"]
    # nothing here outlives the test: it need not reach the disk
    start = ["-D", data, "-h", HOST, "-p", str(port), "-k", folder, "-F"]
    try:
        subprocess.run([binaries / "initdb", *make], cwd=folder, check=True, capture_output=True, **given)
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [binaries / "postgres", *start], cwd=folder, stdout=log, stderr=log, **given
            )
        address = ["-h", HOST, "-p", str(port)]

        def query(sql: str, user: str = NAME) -> str:
            done = subprocess.run(
                [binaries / "psql", *address, "-U", user, "-d", user, "-Atc", sql],
                env={**os.environ, "PGPASSWORD": PASSWORD},
                capture_output=True,
                text=True,
                check=True,
            )
            return done.stdout.strip()

        with ended(process, signal.SIGINT):  # which is "now", to PostgreSQL, and SIGTERM "when all have left"
            ready = [binaries / "pg_isready", "--quiet", *address]
            wait_for(lambda: subprocess.run(ready).returncode == 0, process, folder / "log")
            # as docs/server.md does: a role that may do nothing else
            query(f"CREATE ROLE {NAME} LOGIN PASSWORD '{PASSWORD}'", user="postgres")
            query(f"CREATE DATABASE {NAME} OWNER {NAME}", user="postgres")
            yield f"postgresql+asyncpg://{NAME}:{PASSWORD}@{HOST}:{port}/{NAME}", query
    finally:
        shutil.rmtree(folder)


@pytest.mark.timeout(600)  # of it, setup on a busy machine: a database, a server, its tables
def test_a_worker_with_the_string_runs_a_deployment_and_postgres_keeps_it(
    server: Server,
    tiny_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    segspade: Callable[..., subprocess.CompletedProcess[str]],
    started: Callable[..., subprocess.Popen[str]],
) -> None:
    """Fault: worker or run do not hand the string on; what was to be kept went into SQLite."""
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", STRING)
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    draw_folder(MinicityConfig(train=2, val=1, size=(32, 64)), tmp_path / "city")
    workspace = tmp_path / "workspace"

    done = segspade("deploy", tiny_file, "-w", workspace, api=server.api)
    assert done.returncode == 0, done.stderr
    assert f"Runs and deployments  {server.api.removesuffix('/api')}" in done.stderr

    deployment = server.ask("deployments/name/ingest-source/ingest")["id"]
    what = {
        "source": str(tmp_path / "city"),
        "name": "city",
        "ingest": {"layout": "minicity", "size": "32x64"},
    }
    asked = server.ask(
        f"deployments/{deployment}/create_flow_run",
        {"parameters": {"what": what}, "state": {"type": "SCHEDULED"}},
    )
    worker = started("worker", "-w", workspace, api=server.api)
    with ended(worker, signal.SIGTERM):
        wait_for(lambda: state_of(server, asked["id"])["type"] in ("COMPLETED", "FAILED", "CRASHED"), worker)
    _, said = worker.communicate()
    state = state_of(server, asked["id"])
    assert state["type"] == "COMPLETED", (state, said)
    store = Store(workspace)
    assert store.manifest(store.resolve("dataset/city")).counts == {"train": 2, "val": 1}

    assert server.query(f"SELECT state_type FROM flow_run WHERE id = '{asked['id']}'") == "COMPLETED"
    tasks = server.query(f"SELECT count(*) FROM task_run WHERE flow_run_id = '{asked['id']}'")
    assert int(tasks) >= 4
    assert server.query("SELECT name FROM work_pool") == "segspade"
    assert not list(server.home.rglob("*.db"))


def state_of(server: Server, run: str) -> dict[str, Any]:
    return dict(server.ask(f"flow_runs/{run}")["state"])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("string", [None, "admin:another"], ids=["no string", "another"])
def test_without_the_string_nobody_gets_in_and_is_told_what_to_set(
    server: Server,
    string: str | None,
    tiny_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    segspade: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Fault: anybody may read and start runs; or Prefect's 401 is taken for a fault of SegSPADE's."""
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    if string is not None:
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", string)
    auth: Sequence[str] | None = None if string is None else string.split(":")
    answer = httpx.post(f"{server.api}/flow_runs/count", json={}, auth=auth and tuple(auth), timeout=60)  # type: ignore[arg-type]
    assert answer.status_code == 401
    before = server.query("SELECT count(*) FROM flow_run")
    done = segspade("run", tiny_file, "-w", tmp_path / "workspace", api=server.api)
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip() == (
        f"error: PREFECT_API_URL is {server.api}, and that server does not let in who asks; set "
        "PREFECT_API_AUTH_STRING to what it has as PREFECT_SERVER_API_AUTH_STRING"
    )
    assert server.query("SELECT count(*) FROM flow_run") == before
