"""A workspace, and artifacts in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.store import Store

Make = Callable[..., ArtifactRef]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace")


@pytest.fixture
def make(store: Store) -> Make:
    """Commit an artifact of one small file; what tells it from others is its name."""

    def commit(kind: str = "scores", name: str = "a", **inputs: ArtifactRef) -> ArtifactRef:
        made_of: dict[str, Any] = {
            "stage": "test",
            "revision": 1,
            "config": {"name": name, "kind": kind},
            "inputs": {role: str(ref) for role, ref in inputs.items()} or {"source": "source/" + "0" * 32},
        }
        ref = ArtifactRef(kind=kind, key=artifact_key(**made_of))
        with store.writer(ref) as staging:
            assert staging is not None, f"{ref} is there already"
            (staging.path / "content.txt").write_text(name)
            staging.commit(**made_of, counts={"n": 1}, metrics={"miou": 0.5}, seconds=1.25, device="cpu")
        return ref

    return commit


@pytest.fixture
def samples() -> dict[str, np.ndarray]:
    """20 samples of 8 x 12: one shard of 16, one of 4."""
    random = np.random.default_rng(0)
    return {
        "image": random.integers(0, 256, (20, 8, 12, 3), dtype=np.uint8),
        "label_ids": random.integers(0, 34, (20, 8, 12), dtype=np.uint8),
        "instance_ids": random.integers(0, 60000, (20, 8, 12), dtype=np.uint16),
    }


@pytest.fixture
def fast() -> Iterator[Path]:
    """A folder in memory where there is one: what is tried here are orders, not the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)
