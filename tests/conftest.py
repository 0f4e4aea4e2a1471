"""What all tests share: Prefect set up for tests; its harness and an S3 server, started when one asks."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from buckets import environment, s3_server
from hypothesis import settings

# read when Prefect is imported, so they are here before any test module is
os.environ.update(
    PREFECT_LOGGING_LEVEL="WARNING",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    # a busy machine takes longer than the 20 s of the default
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
)
# a server or a workspace of whoever runs the tests is none of theirs
for name in ("PREFECT_API_URL", "SEGSPADE_WORKSPACE", "SEGSPADE_CACHE", "SEGSPADE_DEBUG"):
    os.environ.pop(name, None)
# no example is timed: a busy machine is not a fault
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def machine_cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Path]:
    """A cache that the processes of one run of the tests share, for the sake of Prefect's empty database."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGSPADE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Prefect server for tests; 17 s to start. Tests that use it are marked `prefect`."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOCAL_STORAGE_PATH,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    # the heartbeat costs a second at the end of every flow run
    settings = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_LOCAL_STORAGE_PATH: tmp_path_factory.mktemp("prefect-results"),
    }
    with prefect_test_harness(server_startup_timeout=120), temporary_settings(settings):
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own process, started once a session; a test takes a prefix of its own."""
    with s3_server(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def url(s3_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The URL of a workspace that nobody else uses; processes that are started find the server."""
    monkeypatch.setenv("SEGSPADE_CACHE", str(tmp_path / "cache"))
    for name, value in environment(s3_address).items():
        monkeypatch.setenv(name, value)
    return f"s3://tests/{uuid.uuid4().hex[:12]}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out whole files, so that what a file sets up is set up once; the served workspace serves two."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "served" if file.endswith(("test_browser.py", "test_deploy.py")) else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first: at the end, one process would be at work and the others idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, "flows" not in item.path.parts))
