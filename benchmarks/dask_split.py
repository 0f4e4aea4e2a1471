"""One split segmented on threads, and on Dask clusters of one and of two worker processes.

Frames of Minicity are drawn and ingested in a temporary workspace, and read by a segmenter that never learned
(the time does not depend on what it learned), through `flows.stages.segment`, the flow that deployments run.
The ways take turns, round by round, after a turn that does not count, in which models are loaded. Prints

    images/s   of the whole flow: shards read, maps predicted, written and committed; medians over rounds
    x          times as fast as threads with one core for torch; the median over rounds of a round's ratio
    ms/shard   what a shard task costs that finds its shard made: what the way adds to the work of a shard
    differ     pixels that differ from those of the first way

Ways with as many cores for torch must give the same bytes. With another number of cores torch sums in
another order, and a pixel with two labels as good as each other may fall to the other. On threads one batch
is computed at a time, with as many cores as torch is given; workers of Dask compute one each, with one core.
The Prefect server is this run's own, and is ended with it; so are the clusters. Prefect's heartbeat, a second
at the end of every flow, is off.

    python benchmarks/dask_split.py [--frames 64] [--size 128x256] [--rounds 5] [--empty 16]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from artifacts_for_benchmarks import drawn_dataset, untrained_segmenter
from server_for_benchmarks import own_server

from segspade_core.config import RuntimeConfig, SegmentConfig
from storage.arrays import open_split
from storage.refs import ArtifactRef
from storage.split_layout import SHARD
from storage.store import Store

if TYPE_CHECKING:
    from distributed import LocalCluster

Made = tuple[dict[str, str], np.ndarray]  # path → sha256, and (N, H, W) label ids
CORES = os.cpu_count() or 1
ONE_CORE = "threads, torch on 1 core"


@contextmanager
def cluster_of(workers: int) -> Iterator[LocalCluster]:
    """Worker processes on loopback, which inherit where the Prefect server is."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


def ways(stack: ExitStack) -> dict[str, RuntimeConfig]:
    """Name → how to run; the clusters end with `stack`."""
    found = {
        ONE_CORE: RuntimeConfig(device="cpu", threads=1),
        f"threads, torch on {CORES} cores": RuntimeConfig(device="cpu", threads=CORES),
    }
    for workers in (1, 2):
        cluster = stack.enter_context(cluster_of(workers))
        found[f"Dask, {workers} worker{'s' * (workers > 1)}"] = RuntimeConfig(
            device="cpu", threads=1, runner="dask", dask_address=cluster.scheduler_address
        )
    return found


def segmented(
    workspace: Path, dataset: ArtifactRef, segmenter: ArtifactRef, runtime: RuntimeConfig
) -> tuple[float, Made]:
    """Seconds of one segmentation of the split, and what it made, which is removed again."""
    from flows import stages

    store, began = Store(workspace), time.perf_counter()
    made = stages.segment(segmenter, dataset, SegmentConfig(split="train"), workspace, runtime)
    seconds = time.perf_counter() - began
    digests = {file.path: file.sha256 for file in store.manifest(made).files}
    label_ids = open_split(store.path(made) / "train.zarr")["label_ids"][:]
    store.remove(made)
    return seconds, (digests, label_ids)


def empty_runs(workspace: Path) -> Callable[[int, int, RuntimeConfig], float]:
    """A function: (turn, shard tasks that find their shard made, runtime) → seconds a task."""
    from prefect import flow

    from tasks.plan import marker, parts_of
    from tasks.segmenting import plan_segment, segment_part
    from tasks.stage import map_parts

    @flow(name="empty-shards")
    def empty_shards(turn: int, tasks: int, runtime: RuntimeConfig) -> float:
        models = [ArtifactRef(kind=kind, key=f"{turn:016x}") for kind in ("segmenter", "dataset")]
        # another key each turn: a cached task would not be run at all
        plan = plan_segment(workspace, *models, SegmentConfig(split="train"), runtime)
        parts = parts_of({"train": tasks * SHARD})
        marker(plan, parts[0]).parent.mkdir(parents=True)
        for part in parts:
            marker(plan, part).touch()
        began = time.perf_counter()
        map_parts(segment_part, plan, parts)
        return (time.perf_counter() - began) / tasks

    return empty_shards


def compare(workspace: Path, options: argparse.Namespace) -> None:
    """Measure every way and print."""
    height, width = map(int, options.size.split("x"))
    dataset = drawn_dataset(workspace, options.frames, (height, width))
    segmenter = untrained_segmenter(workspace)
    empty = empty_runs(workspace)
    with ExitStack() as stack:
        runtimes = ways(stack)
        seconds: dict[str, list[float]] = {name: [] for name in runtimes}
        added: dict[str, list[float]] = {name: [] for name in runtimes}
        first: dict[str, float] = {}
        differ: dict[str, int] = {}
        expected: Made | None = None
        for turn in range(options.rounds + 1):
            for number, (name, runtime) in enumerate(runtimes.items()):
                took, made = segmented(workspace, dataset, segmenter, runtime)
                expected = expected or made
                assert made[0] == expected[0] or runtime.threads != 1, f"{name} wrote other bytes"
                differ[name] = int((made[1] != expected[1]).sum())
                task_s = empty(turn * len(runtimes) + number, options.empty, runtime)
                if turn:
                    seconds[name].append(took)
                    added[name].append(task_s)
                else:
                    first[name] = took
            print(f"round {turn} of {options.rounds}", end="\r", file=sys.stderr, flush=True)
    shards = -(-options.frames // SHARD)
    print(
        f"{options.frames} frames of {options.size}, {shards} shards, {CORES} cores, {options.rounds} rounds"
    )
    print(f"{'':26} images/s      x  ms/shard  differ  first turn s")
    for name, times in seconds.items():
        rate = options.frames / median(times)
        ratio = median(a / b for a, b in zip(seconds[ONE_CORE], times, strict=True))
        task_ms = 1000 * median(added[name])
        print(f"{name:26} {rate:8.1f} {ratio:6.2f}  {task_ms:8.0f}  {differ[name]:6}  {first[name]:12.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--size", default="128x256", help="HxW")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--empty", type=int, default=16, help="shard tasks with nothing to do, a turn")
    options = parser.parse_args()
    with own_server("dask-split") as (workspace, _):
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            compare(workspace, options)


if __name__ == "__main__":
    main()
