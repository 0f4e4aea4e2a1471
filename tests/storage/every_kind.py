"""One small artifact of every kind, with files of every type that stages write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.numpy import save

from storage.files import put_bytes
from storage.keys import artifact_key
from storage.refs import KINDS, ArtifactRef
from storage.shard_writing import write_shard
from storage.split_layout import Codec, create_split, shards
from storage.store import Store
from storage.tables import write_table

SIZE = (12, 20)


def make_every_kind(store: Store) -> dict[str, ArtifactRef]:
    """Commit them; kind → reference."""
    return {kind: _make(store, kind) for kind in KINDS}


def _make(store: Store, kind: str) -> ArtifactRef:
    made_of: dict[str, Any] = {"stage": "test", "revision": 1, "config": {"kind": kind}, "inputs": {}}
    ref = ArtifactRef.model_validate({"kind": kind, "key": artifact_key(**made_of)})
    with store.writer(ref) as staging:
        assert staging is not None
        _FILL[kind](staging.path)
        staging.commit(**made_of)
    return ref


def _split(folder: Path, split: str, count: int, *names: str, codec: Codec = "fast") -> None:
    random = np.random.default_rng(count)
    drawn: dict[str, np.ndarray[Any, Any]] = {
        "image": random.integers(0, 256, (count, *SIZE, 3), np.uint8),
        "label_ids": random.integers(0, 34, (count, *SIZE), np.uint8),
        "instance_ids": random.integers(0, 30_000, (count, *SIZE), np.uint16),
        "confidence": random.integers(0, 256, (count, *SIZE), np.uint8),
    }
    create_split(folder / f"{split}.zarr", count, SIZE, names, {"stage": "test"}, codec)
    for shard, start, stop in shards(count):
        write_shard(folder / f"{split}.zarr", shard, {name: drawn[name][start:stop] for name in names})
    write_table(folder / f"{split}.samples.parquet", _table(count))


def _table(count: int) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"a_{row:06}" for row in range(count)], "value": np.arange(count) / 7})


def _minicity(folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    (folder / "train").mkdir()
    Image.fromarray(image).save(folder / "train" / "a_leftImg8bit.png")
    _json(folder, "minicity.json")


def _dataset(folder: Path) -> None:
    _split(folder, "train", 18, "image", "label_ids", "instance_ids")
    _split(folder, "val", 2, "image", "label_ids", "instance_ids", codec="small")
    _split(folder, "test", 2, "image", "label_ids", codec="raw")


def _model(folder: Path) -> None:
    put_bytes(folder / "model.safetensors", save({"weight": np.linspace(0, 1, 900, dtype=np.float32)}))
    write_table(folder / "epochs.parquet", _table(4))


def _scores(folder: Path) -> None:
    _json(folder, "scores.json")
    write_table(folder / "per_class.parquet", _table(34))


def _report(folder: Path) -> None:
    put_bytes(folder / "report.html", b"<!doctype html><title>Report</title>" + b"<p>text</p>" * 90)
    put_bytes(folder / "drift.svg", b"<svg xmlns='http://www.w3.org/2000/svg'></svg>")


def _json(folder: Path, name: str) -> None:
    put_bytes(folder / name, json.dumps({"miou": 0.5, "names": list(KINDS)}, indent=2).encode())


_FILL: dict[str, Callable[[Path], None]] = {
    "minicity": _minicity,
    "dataset": _dataset,
    "statistics": lambda folder: write_table(folder / "samples.parquet", _table(20)),
    "drift": _report,
    "segmenter": _model,
    "generator": _model,
    "label_maps": lambda folder: _split(folder, "val", 17, "label_ids", "confidence", codec="raw"),
    "images": lambda folder: _split(folder, "val", 17, "image"),
    "decision": lambda folder: _json(folder, "decision.json"),
    "scores": _scores,
    "depth": _report,
    "report": _report,
}
