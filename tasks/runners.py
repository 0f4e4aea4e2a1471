"""Where shard tasks run: on threads of this process, or on a Dask cluster."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from segspade_core.config import RuntimeConfig


def runner_of(runtime: RuntimeConfig) -> TaskRunner[Any]:
    """The task runner that `runtime` asks for; enter it to use it."""
    workers = runtime.workers or os.cpu_count() or 1
    if runtime.runner == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    from prefect_dask import DaskTaskRunner

    return DaskTaskRunner(address=runtime.dask_address or _local_cluster(workers))


@lru_cache(maxsize=1)
def _local_cluster(workers: int) -> str:
    """Address of this process's own cluster: started once, as that takes seconds, and gone with it."""
    from distributed import LocalCluster

    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
    _clusters.append(cluster)
    return str(cluster.scheduler_address)


_clusters: list[Any] = []
