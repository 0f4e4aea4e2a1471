"""One model at a time on an accelerator: within a process by a lock, over all by a limit on the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext, TaskRunContext

from segspade_core.config import RuntimeConfig

LIMIT = "gpu"
# the least that Prefect takes: so long after a run died, what waits goes on
LEASE_S = 60.0

_turn = threading.Lock()


@contextmanager
def accelerator_turn(runtime: RuntimeConfig) -> Iterator[None]:
    """Hold it while a model computes in this process.

    torch uses every core for one batch: two at once would get in each other's way, and share a GPU's memory.
    """
    with _turn, accelerator_slot(runtime):
        yield


def accelerator_slot(runtime: RuntimeConfig) -> AbstractContextManager[None]:
    """Hold it while a model trains or computes anywhere: a slot of the limit that `runtime` names.

    The slot is leased, and given back by the server when a run dies with it. Where the server has no such
    limit, or there is no run, nothing is waited for.
    """
    name = limit_name(runtime)
    if name is None or (FlowRunContext.get() is None and TaskRunContext.get() is None):
        return nullcontext()
    # a server that is away for a minute must not end a training of hours
    return concurrency(
        name, occupy=1, lease_duration=LEASE_S, strict=False, raise_on_lease_renewal_failure=False
    )


def limit_name(runtime: RuntimeConfig) -> str | None:
    """The limit to hold a slot of; None for none."""
    if runtime.accelerator_limit == "none":
        return None
    if runtime.accelerator_limit != "auto":
        return runtime.accelerator_limit
    wants_gpu = runtime.device.startswith("cuda") or (runtime.device == "auto" and _has_gpu())
    return LIMIT if wants_gpu else None


def _has_gpu() -> bool:
    """Without importing torch, which takes seconds that a run which makes nothing saves."""
    devices = Path("/dev")
    return any(devices.glob("nvidia[0-9]*")) or (devices / "kfd").exists()
