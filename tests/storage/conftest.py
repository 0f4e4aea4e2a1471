"""A workspace on each backend, and artifacts in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from artifacts import commit

from storage.files import files_under
from storage.mirror import make_mirror
from storage.refs import ArtifactRef
from storage.store import Store

Make = Callable[..., ArtifactRef]


@pytest.fixture(params=["local", "s3"])
def backend(request: pytest.FixtureRequest) -> str:
    """Where workspaces lie: every test that asks for one runs on each."""
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path, backend: str, request: pytest.FixtureRequest) -> Path:
    """The folder of a workspace in which nothing is yet, or that of a mirror of one."""
    folder = tmp_path / "workspace"
    return folder if backend == "local" else make_mirror(folder, request.getfixturevalue("url"))


@pytest.fixture
def store(root: Path) -> Store:
    return Store(root)


class Stored:
    """The bytes that a workspace keeps, wherever they lie, for tests that damage them."""

    def __init__(self, store: Store) -> None:
        self._mirror = store.mirror

    def read(self, path: Path) -> bytes:
        if self._mirror is None:
            return path.read_bytes()
        found = self._mirror.bucket.get(self._mirror.name(path))
        assert found is not None
        return found.content

    def write(self, path: Path, content: bytes) -> None:
        if self._mirror is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            self._mirror.bucket.put(self._mirror.name(path), content)

    def delete(self, path: Path) -> None:
        if self._mirror is None:
            path.unlink()
        else:
            self._mirror.bucket.delete([self._mirror.name(path)])

    def names(self, folder: Path) -> list[str]:
        """Of every file below a folder, relative to it."""
        if self._mirror is None:
            return sorted(path.relative_to(folder).as_posix() for path in files_under(folder))
        above = self._mirror.name(folder) + "/"
        return [entry.name.removeprefix(above) for entry in self._mirror.entries(folder)]


@pytest.fixture
def stored(store: Store) -> Stored:
    return Stored(store)


@pytest.fixture
def make(store: Store) -> Make:
    """`commit` into the workspace."""

    def made(kind: str = "scores", name: str = "a", **inputs: ArtifactRef) -> ArtifactRef:
        return commit(store, kind, name, **inputs)

    return made


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
