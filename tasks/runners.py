"""Where shard tasks run, and where their results are summed: on threads of this process, or on Dask."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from segspade_core.config import RuntimeConfig
from segspade_core.errors import InputError

Sum = TypeVar("Sum")
_FAN_IN = 8  # sums that one task adds up
_ANSWER_S = 30.0
_LOOPBACK = "127.0.0.1"


@contextmanager
def runner_of(runtime: RuntimeConfig, workspace: Path) -> Iterator[TaskRunner[Any]]:
    """The task runner that `runtime` asks for.

    Raises:
        InputError: a Dask cluster cannot be reached, has no workers, or these do not see the workspace.
    """
    if runtime.runner == "threads":
        with ThreadPoolTaskRunner(max_workers=workers_of(runtime)) as threads:
            yield threads
        return
    from prefect_dask import DaskTaskRunner

    address = cluster_address(runtime)
    check_cluster(runtime, workspace)
    with DaskTaskRunner(address=address) as cluster:
        yield cluster


def check_cluster(runtime: RuntimeConfig, workspace: Path) -> None:
    """See, before hours of training, that shards can be sent to the cluster that `runtime` names, if any.

    Raises:
        InputError: as `check_workers`.
    """
    if runtime.runner == "dask" and runtime.dask_address is not None:
        check_workers(runtime.dask_address, workspace)


def sum_parts(
    runtime: RuntimeConfig, items: Sequence[Any], read: Callable[[Any], Sum], add: Callable[[Sum, Sum], Sum]
) -> Sum:
    """The sum of read(item) over all items, as a tree of Dask tasks: no single one sees more than a few.

    Args:
        runtime: says whether the tree is computed here, on threads, or on the cluster.
        items: one or more, in order.
        read: makes a part of the sum; a module's function, so that it can be sent.
        add: likewise; it must not matter how sums are grouped.
    """
    import dask

    sums = [dask.delayed(read)(item) for item in items]
    while len(sums) > 1:
        sums = [
            dask.delayed(_added)(add, sums[start : start + _FAN_IN]) for start in range(0, len(sums), _FAN_IN)
        ]
    if runtime.runner == "threads":
        (total,) = dask.compute(sums[0], scheduler="threads", num_workers=workers_of(runtime))
        return total
    from distributed import Client

    with Client(cluster_address(runtime), timeout=_ANSWER_S, set_as_default=False) as client:
        return client.compute(sums[0]).result()


def _added(add: Callable[[Sum, Sum], Sum], sums: Sequence[Sum]) -> Sum:
    total = sums[0]
    for other in sums[1:]:
        total = add(total, other)
    return total


def workers_of(runtime: RuntimeConfig) -> int:
    """How many tasks run at a time on this machine."""
    return runtime.workers or os.cpu_count() or 1


def cluster_address(runtime: RuntimeConfig) -> str:
    """Of the cluster that `runtime` names, or of this process's own."""
    return runtime.dask_address or _local_cluster(workers_of(runtime))


def check_workers(address: str, workspace: Path) -> None:
    """See that every worker of a cluster can read what this process writes into the workspace.

    Raises:
        InputError: one cannot, or there is none; says which, and what to do.
    """
    from distributed import Client

    token = workspace / f".seen-by-{uuid.uuid4().hex}"
    workspace.mkdir(parents=True, exist_ok=True)
    try:
        with Client(address, timeout=_ANSWER_S, set_as_default=False) as client:
            token.write_text(token.name)
            answers = client.run(_problem, str(token), on_error="return")
    except (OSError, TimeoutError) as error:
        raise InputError(
            f"runtime.dask_address {address}: no Dask scheduler answers there ({error}); start one with "
            "`dask scheduler`, or leave the address out for a cluster on this machine"
        ) from error
    finally:
        token.unlink(missing_ok=True)
    if not answers:
        raise InputError(
            f"runtime.dask_address {address}: the cluster has no workers; start some with "
            f"`dask worker {address}` where {workspace} can be reached"
        )
    for worker, answer in answers.items():
        if isinstance(answer, ModuleNotFoundError):
            raise InputError(
                f"Dask worker {worker} has no {answer.name}: install the same SegSPADE there as here"
            )
        if isinstance(answer, BaseException):
            raise InputError(f"Dask worker {worker} cannot be asked: {answer!r}")
        if answer is not None:
            raise InputError(
                f"Dask worker {worker} does not see the workspace {workspace} ({answer}); mount it there "
                "under the same path, or choose a workspace on a disk that all machines share"
            )


def _problem(token: str) -> str | None:
    """Why a worker cannot read a file that was just written; None if it can."""
    try:
        content = Path(token).read_text()
    except OSError as error:
        return str(error.strerror)
    return None if content == Path(token).name else "another file is there"


@lru_cache(maxsize=1)
def _local_cluster(workers: int) -> str:
    """Address of this process's own cluster: started once, as that takes seconds, and gone with it."""
    from distributed import LocalCluster

    cluster = LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )
    _clusters.append(cluster)
    return str(cluster.scheduler_address)


_clusters: list[Any] = []
