"""Processes that train one network together: the first starts the others, and they meet at a file.

At a file and not at a port, so that no two trainings want the same one; and all that they tell each other
goes over the loopback device, which no other machine can reach.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed

from segspade_core.config import RuntimeConfig
from segspade_core.errors import InputError, TrainingDiverged
from segspade_core.training.device import pick_device
from segspade_core.training.events import TrainingStopped
from tasks.failures import failure_of
from tasks.plan import Plan

_RANK, _FIRST, _PLACE = "SEGSPADE_RANK", "SEGSPADE_FIRST", "SEGSPADE_MEETING"
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
_END_S = 60.0


def rank_here() -> int:
    """Which process of its group this is, from 0; the first has nobody who told it."""
    return int(os.environ.get(_RANK, "0"))


def first_is_gone() -> bool:
    """Whether the process that started this one to train with it has died since."""
    return rank_here() > 0 and os.getppid() != int(os.environ[_FIRST])


@contextmanager
def training_group(plan: Plan, command: Sequence[str]) -> Iterator[torch.device]:
    """Join the processes that train `plan`; yields the device of this one.

    Args:
        command: starts one of the others, which reads the plan from standard input.

    Raises:
        InputError: there are not as many devices; or another process ended with that, such as one that found
            a damaged frame in its share.
    """
    count = _processes(plan)
    if count == 1:
        yield pick_device(plan.runtime.device)
        return
    device = _device_of(rank_here(), count, plan.runtime)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // count))
    others = [] if rank_here() else _start_others(plan, command, count)
    with _leaving(others):
        _meet(others, count, "nccl" if device.type == "cuda" else "gloo")
        yield device


def _processes(plan: Plan) -> int:
    devices = torch.cuda.device_count() if pick_device(plan.runtime.device).type == "cuda" else 1
    return plan.runtime.processes or devices


def _device_of(rank: int, count: int, runtime: RuntimeConfig) -> torch.device:
    device = pick_device(runtime.device)
    if device.type != "cuda":
        return device
    devices = torch.cuda.device_count()
    if count > devices:
        raise InputError(
            f"runtime.processes {count}: each takes a CUDA device of its own, and this machine has "
            f"{devices}; lower it, or say 0 for as many as there are"
        )
    return torch.device("cuda", rank)


def _start_others(plan: Plan, command: Sequence[str], count: int) -> list[subprocess.Popen[str]]:
    place = plan.staging / "done" / f"meeting-{os.getpid()}"
    place.parent.mkdir(parents=True, exist_ok=True)
    # of a run that was killed under the same number: in containers these come again
    place.unlink(missing_ok=True)
    os.environ.update({_PLACE: str(place), _FIRST: str(os.getpid())})
    others = []
    for rank in range(1, count):
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, _RANK: str(rank)},
        )
        assert process.stdin is not None
        process.stdin.write(plan.model_dump_json())
        process.stdin.close()
        process.stdin = None  # `communicate` would write to what is closed
        others.append(process)
    return others


def _meet(others: Sequence[subprocess.Popen[str]], count: int, backend: str) -> None:
    """Wait for all, but not for one that died; torch's own waiting would take half an hour to notice."""
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(name, _LOOPBACK)
    store = torch.distributed.FileStore(os.environ[_PLACE], count)
    store.set(f"came {rank_here()}", "yes")
    for rank, other in enumerate(others, 1):
        while not store.check([f"came {rank}"]):
            if other.poll() is not None:
                raise RuntimeError(f"process {rank + 1} of {count} ended with status {other.returncode}")
            time.sleep(0.05)
    torch.distributed.init_process_group(backend, store=store, rank=rank_here(), world_size=count)


@contextmanager
def _leaving(others: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    """Part from the other processes at the end; what one of them found wrong is raised here."""
    failures: list[Exception] = []
    try:
        try:
            yield
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            failures = [failure for other in others for failure in _end(other)]
    except (InputError, TrainingDiverged, TrainingStopped):
        raise
    except Exception as error:
        # to this process, the end of another is but a connection that broke
        if failures:
            raise failures[0] from error
        raise


def _end(process: subprocess.Popen[str]) -> list[Exception]:
    """Wait for a process, not for ever; returns the failure that it told, if any."""
    try:
        said, _ = process.communicate(timeout=_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    messages = [json.loads(line) for line in said.splitlines()]
    return [failure_of(each["kind"], each["message"]) for each in messages if each["what"] == "failure"]
