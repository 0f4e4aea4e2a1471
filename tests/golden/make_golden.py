"""Made the artifacts in `v2/`, once, by the version that committed them. Later versions must read them.

    python tests/golden/make_golden.py FOLDER

`v1/` was made by the same script before arrays had a codec to choose: photographs by lz4 with bit shuffle,
and no `images`. A version that writes another form makes a folder of its own beside these, which stay.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save

from storage import staging as staging_module
from storage.aliases import Aliases
from storage.files import put_bytes
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.shard_writing import write_shard
from storage.split_layout import Codec, create_split
from storage.store import Staging, Store
from storage.tables import write_table

COUNT, SIZE = 3, (32, 64)


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    """Samples by formulas, which no other version of any library draws differently."""
    sample, y, x = np.indices((COUNT, *SIZE))
    channel = np.arange(3)
    image = (sample[..., None] * 90 + y[..., None] * 3 + x[..., None] * 5 + channel * 40) % 256
    label_ids = np.where((x + y + sample) % 11 == 0, 255, (x // 8 + y // 8 + sample) % 34)
    return {
        "image": image.astype(np.uint8),
        "label_ids": label_ids.astype(np.uint8),
        "instance_ids": np.where(label_ids == 3, 26_000 + x // 8, 0).astype(np.uint16),
        "confidence": ((x * y + sample * 17) % 256).astype(np.uint8),
    }


def rows() -> pd.DataFrame:
    """The table of samples; nobody knows the time of day of the last."""
    return pd.DataFrame(
        {
            "id": [f"aachen_{row:06}_000019" for row in range(COUNT)],
            "city": "aachen",
            "sequence": [f"{row:06}" for row in range(COUNT)],
            "frame": "000019",
            "time_of_day": ["day", "night", None],
            "source_sha256": [f"{row:064x}" for row in range(COUNT)],
        }
    )


def weights() -> dict[str, np.ndarray[Any, Any]]:
    """Some tensors of a network that is none."""
    return {
        "conv.weight": (np.arange(540, dtype=np.float32) / 7 - 30).reshape(20, 3, 3, 3),
        "conv.bias": np.linspace(-1, 1, 20, dtype=np.float32),
        "steps": np.array([1234], np.int64),
    }


def _split(staging: Staging, codec: Codec, *names: str) -> None:
    path = staging.path / "val.zarr"
    create_split(path, COUNT, SIZE, names, {"layout": "cityscapes"}, codec)
    write_shard(path, 0, {name: arrays()[name] for name in names})
    write_table(staging.path / "val.samples.parquet", rows())


def _commit(store: Store, kind: str, stage: str, config: dict[str, Any], **inputs: Any) -> ArtifactRef:
    made_of = {"stage": stage, "revision": 1, "config": config}
    named = {name: str(ref) for name, ref in inputs.items()}
    ref = ArtifactRef.model_validate({"kind": kind, "key": artifact_key(**made_of, inputs=named)})
    with store.writer(ref) as staging:
        assert staging is not None, f"{ref} is there already"
        if kind == "dataset":
            _split(staging, "fast", "image", "label_ids", "instance_ids")
        elif kind == "label_maps":
            _split(staging, "raw", "label_ids", "confidence")
        elif kind == "images":
            _split(staging, "small", "image")
        else:
            put_bytes(staging.path / "model.safetensors", save(weights(), metadata={"format": "golden"}))
        metrics = {"val_miou": 0.25} if kind == "segmenter" else {}
        staging.commit(**made_of, inputs=named, counts={"val": COUNT}, metrics=metrics, seconds=1.5)
    return ref


def make(root: Path) -> None:
    """Commit a dataset, a segmenter, label maps as it might have made them, images; name the segmenter."""
    store = Store(root)
    dataset = _commit(store, "dataset", "ingest", {"size": SIZE}, source="source/" + "0" * 32)
    segmenter = _commit(store, "segmenter", "train-segmenter", {"epochs": 1, "lr": 1e-4}, dataset=dataset)
    inputs = {"dataset": dataset, "segmenter": segmenter}
    _commit(store, "label_maps", "segment", {"split": "val", "confidence": True}, **inputs)
    _commit(store, "images", "synthesize", {"split": "val", "seed": 0}, dataset=dataset)
    Aliases(root).set("segmenter", "production", segmenter.key, "golden")


if __name__ == "__main__":
    # the commit that these are part of cannot be named in them
    staging_module.git_commit = lambda: None  # type: ignore[assignment]
    make(Path(sys.argv[1]))
