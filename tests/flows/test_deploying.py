"""What `segspade deploy` refuses before anything is made, and how a run of a worker's ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.deploying import Schedule, deploy, is_anything_deployed, next_due
from segspade_core.errors import InputError


@pytest.mark.parametrize("cron", ["61 3 * * 1", "", "0 3 * *", "0 0 31 2 *"])
def test_a_schedule_that_is_never_due_is_refused(cron: str) -> None:
    """Fault: some deployments are renewed before Prefect says no, and says so on a whole screen."""
    with pytest.raises(InputError, match=r"^--cron '.*': not a schedule, or one that is never due; it has"):
        next_due(Schedule(cron, "UTC"))


@pytest.mark.parametrize("timezone", ["Europe/Atlantis", "", "europe"])
def test_a_time_zone_that_is_none_is_refused(timezone: str) -> None:
    with pytest.raises(InputError, match=rf"^--timezone '{timezone}': there is no such time zone"):
        next_due(Schedule("0 3 * * 1", timezone))


def test_a_schedule_is_meant_in_its_time_zone() -> None:
    """Fault: three o'clock of another place; a day that comes in leap years alone refused."""
    monday = next_due(Schedule("0 3 * * 1", "Asia/Tokyo"))
    assert (monday.weekday(), monday.hour, str(monday.tzinfo)) == (0, 3, "Asia/Tokyo")
    assert monday > datetime.now(UTC)
    leap = next_due(Schedule("0 0 29 2 *", "UTC"))
    assert (leap.month, leap.day) == (2, 29)


@pytest.mark.parametrize("notify", ["http://", "nonsense", "ftp://example.org/x", "https:///x"])
def test_an_address_to_tell_that_is_none_is_refused(notify: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^--notify {notify}: not an address such as https://"):
        deploy(tmp_path, None, None, notify, 1, lambda _line: None)


@pytest.mark.prefect
def test_a_worker_can_tell_that_nothing_is_deployed(prefect_api: str) -> None:
    """Fault: a worker that waits for ever, and does not say that nobody can ask it for anything."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for left in client.read_deployments():  # by other tests, on the server that all share
            client.delete_deployment(left.id)
        assert not is_anything_deployed()
        flow = client.create_flow_from_name("deployed")
        deployment = client.create_deployment(flow, "deployed")
        try:
            assert is_anything_deployed()
        finally:
            client.delete_deployment(deployment)


@pytest.mark.skipif(sys.platform != "linux", reason="the signal of a parent's death is Linux's")
def test_a_run_whose_reader_is_gone_goes_on_until_it_is_told_to_stop() -> None:
    """Fault: rich exits at the first line that nobody reads, and the training's task is Running for ever."""
    script = (
        "import os, sys\nfrom rich.console import Console\nfrom flows.dying import die_with_worker\n"
        "die_with_worker(None, None, None)\nsys.stdin.read()\n"
        "Console(file=sys.stdout).print('nobody reads this')\n"
        "os.write(2, b'went on')\nos._exit(0)"
    )
    environment = {**os.environ, "PREFECT__FLOW_RUN_ID": "a-run"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, **pipes) as process:
        assert None not in (process.stdin, process.stdout, process.stderr)
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read().decode().endswith("went on")
        assert process.wait(60) == 0
