"""Artifacts made by hand, and parts that run in the test's own thread instead of as Prefect tasks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.shard_writing import write_shard
from storage.split_layout import create_split, shards
from storage.store import Store
from storage.tables import write_table

SIZE = (16, 32)
Arrays = Mapping[str, np.ndarray[Any, Any]]


def commit(
    workspace: Path,
    kind: str,
    name: str = "",
    splits: Mapping[str, Arrays] | None = None,
    write: Callable[[Path], None] | None = None,
    stage: str = "test",
    config: Mapping[str, Any] | None = None,
    counts: Mapping[str, int] | None = None,
    **inputs: ArtifactRef,
) -> ArtifactRef:
    """Commit `splits` of arrays, and what `write` puts into the folder; `name` tells it from others."""
    of: dict[str, Any] = {
        "stage": stage,
        "revision": 1,
        "config": {**(config or {}), **({"name": name} if name else {})},
        "inputs": {role: str(ref) for role, ref in inputs.items()} or {"source": "source/" + "0" * 32},
    }
    ref = ArtifactRef.model_validate({"kind": kind, "key": artifact_key(**of)})
    with Store(workspace).writer(ref) as staging:
        assert staging is not None, f"{ref} is there already"
        for split, arrays in (splits or {}).items():
            _put_split(staging.path, split, arrays)
        if write is not None:
            write(staging.path)
        elif not splits:
            (staging.path / "made").write_text(name)  # an artifact holds something
        staging.commit(**of, counts=counts or {}, seconds=1.0)
    return ref


def _put_split(folder: Path, split: str, arrays: Arrays) -> None:
    count = len(next(iter(arrays.values())))
    path = folder / f"{split}.zarr"
    create_split(path, count, SIZE, tuple(arrays), {})
    for shard, start, stop in shards(count):
        write_shard(path, shard, {name: array[start:stop] for name, array in arrays.items()})
    # of the last one nobody knows
    times = ["dusk" if row % 3 == 0 else "day" for row in range(count - 1)] + [None]
    rows = pd.DataFrame(
        {
            "id": [f"{split}{row:03}" for row in range(count)],
            "city": "a",
            "sequence": "0",
            "frame": range(count),
            "time_of_day": times,
            "source_sha256": "0" * 64,
        }
    )
    write_table(folder / f"{split}.samples.parquet", rows)


def maps(seed: int, count: int) -> np.ndarray[Any, Any]:
    """(count, H, W) uint8: patches of label ids, some of them void."""
    random = np.random.default_rng(seed)
    coarse = random.choice([0, 7, 11, 21, 23, 26, 255], (count, SIZE[0] // 4, SIZE[1] // 4))
    return coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)


def instances(label_ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(N, H, W) uint16: each map's cars are told apart by the quarter of the width that they stand in."""
    number = np.arange(SIZE[1], dtype=np.uint16) // (SIZE[1] // 4)
    return np.where(label_ids == 26, 26000 + number, label_ids).astype(np.uint16)


def predictions(seed: int, count: int) -> np.ndarray[Any, Any]:
    """(count, H, W) uint8 as a segmenter gives them: without void."""
    return np.where(maps(seed, count) == 255, 7, maps(seed, count)).astype(np.uint8)


def photographs(seed: int, count: int) -> np.ndarray[Any, Any]:
    """(count, H, W, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


def run_parts_here(part_task: Any, plan: Any, parts: Sequence[Any], **columns: Sequence[Any]) -> list[Any]:
    """`map_parts` without Prefect: the bodies of the tasks, one after the other."""
    return [
        part_task.fn(plan=plan, part=part, **{name: values[at] for name, values in columns.items()})
        for at, part in enumerate(parts)
    ]


def tiny_segmenter() -> tuple[Any, Any]:
    """A segmenter that never learned, with a ResNet's parts but few channels; and the device it is on."""
    import torch
    from torch import nn

    from segspade_core.segmentation.model import Segmenter

    torch.manual_seed(0)
    model = Segmenter("resnet18", 2)
    channels = (3, 4, 4, 4, 4)
    names = ("conv1", "layer1", "layer2", "layer3", "layer4")
    parts = {name: nn.Conv2d(size, 4, 3, 2, 1) for name, size in zip(names, channels, strict=True)}
    model.encoder = nn.Sequential(OrderedDict({"conv1": parts.pop("conv1"), "relu": nn.ReLU(), **parts}))
    return model.eval(), torch.device("cpu")
