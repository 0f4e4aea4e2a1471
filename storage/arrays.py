"""The arrays of a split, read when sliced: whole samples or crops of them, checked as they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from storage.check import check_sizes
from storage.errors import DamagedArtifact, StorageError
from storage.manifest import NAME, how_to_mend
from storage.mirror import mirror_of
from storage.shards import DamagedSample, ShardReader, Window
from storage.split_layout import SHARD, array_metadata, shard_file

# of a shard that others make room by deleting, between fetching and reading it
_TRIES = 5


class SplitArray:
    """One array of a split, read when sliced. Can be pickled, and used in threads and after a fork."""

    def __init__(self, path: Path, name: str, metadata: Mapping[str, Any]) -> None:
        self.shape = tuple(metadata["shape"])
        self.dtype = np.dtype(metadata["data_type"])
        self.path = path
        self._name = name
        self._reader = ShardReader(metadata)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> np.ndarray[Any, Any]:
        """One sample (...), or (n, ...) for a slice.

        Raises:
            IndexError: there is no such sample.
            DamagedArtifact: the shard's file is missing or damaged; the message names artifact, array,
                shard, sample and file.
        """
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                rows = [self[i] for i in range(start, stop, step)]
                return np.stack(rows) if rows else np.empty((0, *self.shape[1:]), self.dtype)
            return self._read(start, max(start, stop))
        row = self._row(index)
        return self._read(row, row + 1)[0]

    def _row(self, index: int) -> int:
        row = int(index)
        if not -len(self) <= row < len(self):
            raise IndexError(f"sample {row} of {self.path.name}/{self._name}, which has {len(self)}")
        return row % len(self)

    def crop(self, row: int, top: int, left: int, height: int, width: int) -> np.ndarray[Any, Any]:
        """(height, width, ...) pixels of one sample, from row `top` and column `left` on.

        Raises:
            IndexError: there is no such sample, or it has no such pixels.
            DamagedArtifact: as when indexed.
        """
        window = Window(top, left, height, width)
        if not window.fits(self.shape[1], self.shape[2]):
            raise IndexError(
                f"crop of {height}x{width} at ({top}, {left}) of a sample of {self.shape[1]}x{self.shape[2]}"
            )
        row = self._row(row)
        return self._read(row, row + 1, window)[0]

    def __iter__(self) -> Iterator[np.ndarray[Any, Any]]:
        return (self[row] for row in range(len(self)))

    def _read(self, start: int, stop: int, window: Window | None = None) -> np.ndarray[Any, Any]:
        parts = [np.empty((0, *self.shape[1:]), self.dtype)]
        for shard in range(start // SHARD, -(-stop // SHARD) if stop > start else start // SHARD):
            rows = range(max(start - shard * SHARD, 0), min(stop - shard * SHARD, SHARD))
            file = shard_file(self.path, self._name, shard, self.ndim)
            try:
                parts.append(self._rows(file, rows, window))
            except StorageError:
                raise
            except (ValueError, OSError) as error:
                raise DamagedArtifact(self._damage(file, shard, rows, error)) from error
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def _damage(self, file: Path, shard: int, rows: range, error: Exception) -> str:
        """Artifact, array, shard and sample, for who has to mend it; `rows` were asked for."""
        damaged, why = rows[0], str(error)
        if isinstance(error, FileNotFoundError):
            why = "the shard's file is missing"
        elif isinstance(error, DamagedSample):
            damaged, why = error.row, error.why
        folder = self.path.parent
        return (
            f"{folder.parent.name}/{folder.name}: sample {shard * SHARD + damaged} of {self.path.name}/"
            f"{self._name} cannot be read: {why} (row {damaged} of shard {shard}, {file}). "
            f"{how_to_mend(folder)}"
        )

    def _rows(self, file: Path, rows: range, window: Window | None) -> np.ndarray[Any, Any]:
        """Of one shard, which in a mirror is fetched when it is not there."""
        for _ in range(_TRIES):
            try:
                return self._reader.read(file, rows, window)
            except FileNotFoundError:
                mirror = mirror_of(file)
                if mirror is None or not mirror.fetch_shard(file):
                    raise
        return self._reader.read(file, rows, window)


class SplitArrays(Mapping[str, SplitArray]):
    """The arrays of a split by name; `attributes` is what was kept with them."""

    def __init__(self, path: Path, arrays: dict[str, SplitArray], attributes: dict[str, Any]) -> None:
        self.path = path
        self.attributes = attributes
        self._arrays = arrays

    def __getitem__(self, name: str) -> SplitArray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def open_split(path: Path) -> SplitArrays:
    """The arrays of a split. In a committed artifact every file is looked for first.

    Raises:
        DamagedArtifact: a file is missing or has another size than committed; the message names it.
    """
    if (path.parent / NAME).exists():
        check_sizes(path.parent, f"{path.name}/")
    try:
        attributes = json.loads((path / "zarr.json").read_bytes()).get("attributes", {})
        arrays = {name: SplitArray(path, name, metadata) for name, metadata in array_metadata(path).items()}
    except (OSError, ValueError, KeyError) as error:
        raise DamagedArtifact(
            f"{path}: not the arrays of a split ({error}). {how_to_mend(path.parent)}"
        ) from error
    return SplitArrays(path, arrays, attributes)
