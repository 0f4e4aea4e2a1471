"""Models take turns on an accelerator: threads of a process by a lock, runs by a limit of the server."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client

from segspade_core.config import RuntimeConfig
from tasks.accelerator import accelerator_slot, accelerator_turn, limit_name


@pytest.mark.parametrize(
    ("device", "limit", "gpus", "name"),
    [
        ("cpu", "auto", True, None),
        ("cuda", "auto", False, "gpu"),
        ("cuda:1", "auto", False, "gpu"),
        ("auto", "auto", True, "gpu"),
        ("auto", "auto", False, None),
        ("cuda", "none", True, None),
        ("cpu", "big-machines", False, "big-machines"),
    ],
)
def test_which_limit_is_held(
    device: str, limit: str, gpus: bool, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.accelerator._has_gpu", lambda: gpus)
    assert limit_name(RuntimeConfig(device=device, accelerator_limit=limit)) == name


def overlaps(times: list[tuple[float, float]]) -> bool:
    return any(one[1] > other[0] for one, other in zip(sorted(times), sorted(times)[1:], strict=False))


def test_threads_of_one_process_take_turns_without_a_run() -> None:
    """Fault: two batches at once on one device; a wait for a server where there is no run."""
    times: list[tuple[float, float]] = []

    def work() -> None:
        with accelerator_turn(RuntimeConfig(accelerator_limit="x")):
            began = time.monotonic()
            time.sleep(0.02)
            times.append((began, time.monotonic()))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(times) == 5
    assert not overlaps(times)


@pytest.mark.prefect
def test_tasks_of_a_run_share_the_slots_of_the_limit(prefect_api: str) -> None:
    """Fault: a slot that is not taken, or not given back."""
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name("accelerator-test", 1)
    times: list[tuple[float, float]] = []
    runtime = RuntimeConfig(accelerator_limit="accelerator-test")

    @task
    def use(_index: int) -> None:
        with accelerator_slot(runtime):
            began = time.monotonic()
            time.sleep(0.2)
            times.append((began, time.monotonic()))

    @flow
    def three() -> None:
        for future in use.map([0, 1, 2]):
            future.result()

    three()
    assert len(times) == 3
    assert not overlaps(times)
    with get_client(sync_client=True) as client:
        assert client.read_global_concurrency_limit_by_name("accelerator-test").active_slots == 0


@pytest.mark.prefect
def test_a_limit_that_the_server_does_not_have_is_not_waited_for(prefect_api: str) -> None:
    done: list[Any] = []

    @flow
    def one() -> None:
        with accelerator_slot(RuntimeConfig(accelerator_limit="nobody-made-this")):
            done.append(Path)

    one()
    assert done
