"""Batch stages on a Dask cluster: the same bytes as on threads, also when a worker is killed in mid-shard."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows import stages
from flows.cycle import cycle
from segspade_core.config import EvaluateConfig, RunConfig, RuntimeConfig, SegmentConfig
from segspade_core.errors import InputError
from storage.arrays import open_split
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.runners import check_workers

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(prefect_api: str) -> Iterator[Any]:
    """Two worker processes on loopback."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.fixture
def on_dask(cluster: Any) -> RuntimeConfig:
    return RuntimeConfig(device="cpu", threads=1, runner="dask", dask_address=cluster.scheduler_address)


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "workspace")


def models(store: Store) -> list[ArtifactRef]:
    return [store.refs(kind)[0] for kind in ("dataset", "segmenter", "generator")]


def forget_batches(store: Store) -> None:
    for kind in ("label_maps", "images", "scores", "report", "statistics"):
        for ref in store.refs(kind):
            store.remove(ref)


def test_the_cycle_gives_the_same_bytes_as_on_threads(
    workspace: Path,
    tiny: RunConfig,
    on_dask: RuntimeConfig,
    made: Path,
    digests: Callable[[Path], dict[str, str]],
) -> None:
    """Fault: shards in another order, a sum that depends on how it is grouped."""
    store = Store(workspace)
    forget_batches(store)
    stages.describe(models(store)[0], workspace, on_dask)
    cycle(*models(store), EvaluateConfig(), quality=tiny.score_quality, workspace=workspace, runtime=on_dask)
    assert digests(workspace) == digests(made)


def test_a_worker_that_is_killed_costs_its_shard_and_nothing_else(
    workspace: Path, on_dask: RuntimeConfig, cluster: Any, tmp_path: Path
) -> None:
    """Fault: the run fails, a shard is lost, or shards that were done are made anew."""
    from distributed import Client

    store = Store(workspace)
    dataset, segmenter, _ = models(store)
    wanted = {"segmenter": str(segmenter), "images": str(dataset)}
    (expected,) = [
        ref
        for ref in store.refs("label_maps")
        if store.manifest(ref).inputs == wanted and "train" in store.manifest(ref).counts
    ]
    maps = open_split(store.path(expected) / "train.zarr")["label_ids"][:]
    store.remove(expected)
    log = tmp_path / "log"
    log.mkdir()

    def slow_down() -> None:
        """On a worker: whoever segments says so, and takes a second."""
        import os
        import time
        import uuid

        import segspade_core.segmentation as segmentation

        predict = segmentation.predict

        def slowly(model: Any, images: Any, *how: Any, **fills: Any) -> Any:
            (log / f"{os.getpid()}-{len(images)}-{uuid.uuid4().hex}").touch()
            time.sleep(1)
            return predict(model, images, *how, **fills)

        segmentation.predict = slowly

    killed: list[tuple[int, int]] = []  # process, and size of the shard that it was at

    def kill_the_first() -> None:
        for _ in range(3000):
            for busy in log.iterdir():
                process, size = map(int, busy.name.split("-")[:2])
                killed.append((process, size))
                psutil.Process(process).kill()
                return
            time.sleep(0.01)

    with Client(cluster.scheduler_address, set_as_default=False) as client:
        client.run(slow_down)
    killer = threading.Thread(target=kill_the_first)
    killer.start()
    again = stages.segment(segmenter, dataset, SegmentConfig(split="train"), workspace, on_dask)
    killer.join()
    assert killed
    assert again == expected
    assert (open_split(store.path(again) / "train.zarr")["label_ids"][:] == maps).all()
    # the other shard was made once; this one again, unseen if by the worker that took the killed one's place
    ((_, size),) = killed
    made = [int(busy.name.split("-")[1]) for busy in log.iterdir()]
    assert [other for other in made if other != size] == [{16: 2, 2: 16}[size]]
    assert made.count(size) in (1, 2)


def test_workers_that_do_not_see_the_workspace_are_named(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_workers(cluster.scheduler_address, tmp_path / "workspace")
    assert not list((tmp_path / "workspace").iterdir())

    # as where another folder is mounted under this path: what is written here is not there
    monkeypatch.setattr(Path, "write_text", lambda _path, _text: 0)
    message = rf"^Dask worker tcp://127\S+ does not see the workspace {tmp_path} \(No such file or dir"
    with pytest.raises(InputError, match=message):
        check_workers(cluster.scheduler_address, tmp_path)


def test_no_scheduler_and_no_workers_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr("tasks.runners._ANSWER_S", 2.0)
    message = r"^runtime\.dask_address tcp://127\.0\.0\.1:9: no Dask scheduler answers"
    with pytest.raises(InputError, match=message):
        check_workers("tcp://127.0.0.1:9", tmp_path)
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(InputError, match=r"the cluster has no workers; start some with `dask worker tcp://"),
    ):
        check_workers(empty.scheduler_address, tmp_path)
