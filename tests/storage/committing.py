"""A small dataset that is made and committed, as stages do it: arrays by shards, a table, the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from storage import staging as staging_module
from storage.files import sha256_file
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.shard_writing import shard_done, write_shard
from storage.split_layout import create_split, shards
from storage.store import Store
from storage.tables import write_table

COUNT, SIZE = 17, (4, 6)
MADE_OF: dict[str, Any] = {
    "stage": "ingest", "revision": 1, "config": {}, "inputs": {"source": "source/" + "0" * 32},
}  # fmt: skip
REF = ArtifactRef(kind="dataset", key=artifact_key(**MADE_OF))


def make(root: Path) -> int:
    """Make and commit it, or go on where a run was cut short. Returns how many shards were written."""
    # neither changes the disk, and both take longer than all that does
    staging_module.git_commit = lambda: None  # type: ignore[attr-defined]
    staging_module.package_versions = dict  # type: ignore[attr-defined]
    written = 0
    with Store(root).writer(REF) as staging:
        if staging is None:
            return 0
        path = staging.path / "train.zarr"
        create_split(path, COUNT, SIZE, ("label_ids",), {"stage": "ingest"})
        for shard, start, stop in shards(COUNT):
            if not shard_done(path, shard):
                write_shard(path, shard, {name: array[start:stop] for name, array in samples().items()})
                written += 1
        write_table(staging.path / "train.samples.parquet", pd.DataFrame({"id": range(COUNT)}))
        # as a library writes a file: nothing is synced
        (staging.path / "plain").mkdir(exist_ok=True)
        (staging.path / "plain" / "notes.txt").write_text("notes")
        staging.commit(**MADE_OF)
    return written


def samples() -> dict[str, np.ndarray[Any, Any]]:
    """The arrays."""
    return {"label_ids": np.random.default_rng(3).integers(0, 34, (COUNT, *SIZE), np.uint8)}


def digests(root: Path) -> dict[str, str]:
    """File → sha256 of the committed artifact, its manifest left out, which holds the time."""
    folder = Store(root).path(REF)
    return {file.path: sha256_file(folder / file.path) for file in Store(root).manifest(REF).files}


def whole_or_absent(root: Path) -> str:
    """'whole' or 'absent'; anything else is an AssertionError. Looks at the artifact as every reader does."""
    store = Store(root)
    if not store.exists(REF):
        assert store.refs() == []
        return "absent"
    assert store.refs() == [REF]
    problems = store.verify()
    assert problems == [], problems
    return "whole"
