"""Shards are written whole: packed in memory, put, and marked as done.

A marker lists the files of its shard, for resuming; it is part of staging alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import StorageError
from storage.files import put_bytes, put_link, sha256_file
from storage.manifest import FileRecord
from storage.mirror import mirror_of
from storage.packing import ShardPacker
from storage.split_layout import SHARD, array_metadata, shard_file


class ShardWriter:
    """One shard of every array, packed as its samples come; one thread at a time adds to it."""

    def __init__(self, path: Path, shard: int) -> None:
        """Begin a shard.

        Args:
            path: the group's folder.
            shard: which one.

        Raises:
            StorageError: there is no such shard.
        """
        self.path, self._shard = path, shard
        self._metadata = dict(sorted(array_metadata(path).items()))
        self._packers = {name: ShardPacker(metadata) for name, metadata in self._metadata.items()}
        self._chunks: dict[str, list[bytes]] = {name: [] for name in self._packers}
        count = next((metadata["shape"][0] for metadata in self._metadata.values()), 0)
        self.samples = min(SHARD, count - shard * SHARD)
        if shard < 0 or self.samples <= 0:
            raise StorageError(f"{path}: there is no shard {shard} of {count} samples")

    @property
    def names(self) -> list[str]:
        """Of the arrays of the split."""
        return list(self._packers)

    def add(self, sample: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Pack the next sample: name → its part of every array.

        Raises:
            StorageError: an array is missing, too many, or has the wrong shape or dtype.
        """
        if set(sample) != set(self._packers):
            raise StorageError(
                f"{self.path}: a shard has {', '.join(self._packers)}; got {', '.join(sorted(sample))}"
            )
        for name, packer in self._packers.items():
            try:
                self._chunks[name].append(packer.pack(sample[name]))
            except ValueError as error:
                raise StorageError(f"{self.path}: {name} of shard {self._shard}: {error}") from error

    def put(self) -> list[FileRecord]:
        """Put the shard, then the marker that says so.

        Returns:
            The files, with paths relative to the group's parent.

        Raises:
            StorageError: samples are missing, or there are too many.
        """
        records, marker = [], []
        for name, chunks in self._chunks.items():
            if len(chunks) != self.samples:
                raise StorageError(
                    f"{self.path}: shard {self._shard} has {self.samples} samples; got {len(chunks)}"
                )
            file = shard_file(self.path, name, self._shard, len(self._metadata[name]["shape"]))
            content = self._packers[name].file(chunks)
            etag = put_bytes(file, content)
            relative = file.relative_to(self.path.parent).as_posix()
            digest = hashlib.sha256(content).hexdigest()
            records.append(FileRecord(path=relative, bytes=len(content), sha256=digest))
            marker.append(_marked(records[-1], etag))
        put_bytes(_marker(self.path, self._shard), json.dumps(marker).encode())
        return records


def write_shard(path: Path, shard: int, arrays: Mapping[str, np.ndarray[Any, Any]]) -> list[FileRecord]:
    """Put one whole shard of every array, then the marker that says so. Threads may write different
    shards at once.

    Args:
        path: the group's folder.
        shard: which one.
        arrays: name → (n, ...) with the n samples of this shard: 16, or what is left.

    Returns:
        The files, with paths relative to the group's parent.

    Raises:
        StorageError: an array is missing, too many, or has the wrong shape or dtype.
    """
    writer = ShardWriter(path, shard)
    counts = {name: len(array) for name, array in arrays.items()}
    if set(counts.values()) - {writer.samples}:
        raise StorageError(f"{path}: shard {shard} has {writer.samples} samples; got {counts}")
    for row in range(writer.samples):
        writer.add({name: array[row] for name, array in arrays.items()})
    return writer.put()


def take_shard(path: Path, earlier: Path, shard: int, records: Mapping[str, FileRecord]) -> bool:
    """Put a shard that another split has already, without looking into it: as a hard link where that can be.

    Args:
        path: the group's folder.
        earlier: the folder of a committed split.
        shard: which one, of both.
        records: path → file of the artifact that `earlier` is in, as its manifest has them.

    Returns:
        Whether it was put. It is not where the arrays are of another form, or where the shard does not have
        as many samples there as here.
    """
    ours, theirs = array_metadata(path), array_metadata(earlier)
    if set(ours) != set(theirs) or any(
        _form(ours[name], shard) != _form(theirs[name], shard) for name in ours
    ):
        return False
    taken = []
    for name, metadata in ours.items():
        source, target = (shard_file(each, name, shard, len(metadata["shape"])) for each in (earlier, path))
        known = records.get(source.relative_to(earlier.parent).as_posix())
        if known is None:
            return False
        etag = put_link(source, target)
        record = known.model_copy(update={"path": target.relative_to(path.parent).as_posix()})
        taken.append(_marked(record, etag))
    put_bytes(_marker(path, shard), json.dumps(taken).encode())
    return True


def _form(metadata: Mapping[str, Any], shard: int) -> tuple[Any, ...]:
    """All that the bytes of a shard depend on, but its samples."""
    count, *rest = metadata["shape"]
    samples = min(SHARD, count - shard * SHARD)
    return samples, rest, metadata["data_type"], metadata["chunk_grid"], metadata["codecs"]


def shard_done(path: Path, shard: int, *, deep: bool = False) -> bool:
    """Whether the shard's marker is there and every file it lists has its size; `deep`: and its digest.

    In a mirror, files that another machine made may be in the bucket alone: whoever opened the writer has
    compared them with the marker.
    """
    try:
        records = [
            FileRecord.model_validate(record) for record in json.loads(_marker(path, shard).read_bytes())
        ]
        in_bucket = mirror_of(path) is not None
        return all(
            (in_bucket and not (path.parent / record.path).exists())
            or (
                (path.parent / record.path).stat().st_size == record.bytes
                and (not deep or sha256_file(path.parent / record.path) == record.sha256)
            )
            for record in records
        )
    except (OSError, ValueError):
        return False


def _marked(record: FileRecord, etag: str | None) -> dict[str, Any]:
    """A file as a marker tells it: by the etag of its object a mirror knows it again, without fetching it."""
    return record.model_dump() | ({} if etag is None else {"etag": etag})


def _marker(path: Path, shard: int) -> Path:
    return path.parent / "done" / path.name / f"{shard:05}.json"
