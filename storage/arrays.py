"""One split of a dataset, of label maps or of images: a Zarr v3 group with one array a name.

    image         (N, H, W, 3) uint8
    label_ids     (N, H, W)    uint8    fill 255 (void)
    instance_ids  (N, H, W)    uint16
    confidence    (N, H, W)    uint8

    codec   image                                    maps
    fast    blosc lz4 9 + crc32c                     zstd 3 with checksum
    small   blosc zstd 5 bitshuffle + crc32c         zstd 3 with checksum
    raw     crc32c                                   crc32c

A chunk is one sample, a shard is 16: the unit of work and of resuming. A shard is packed in memory and put
whole, so that no one ever reads a part of it. Equal samples give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from storage.check import check_sizes
from storage.errors import DamagedArtifact, StorageError
from storage.files import put_bytes, put_link, sha256_file
from storage.manifest import NAME, FileRecord, how_to_mend
from storage.mirror import mirror_of
from storage.packing import ShardPacker
from storage.shards import DamagedSample, ShardReader, Window

SHARD = 16
Codec = Literal["fast", "small", "raw"]
DTYPES = {"image": "uint8", "label_ids": "uint8", "instance_ids": "uint16", "confidence": "uint8"}
# of an array's axes, in their order; only photographs have the last
DIMENSIONS = ("sample", "y", "x", "channel")
# of a shard that others make room by deleting, between fetching and reading it
_TRIES = 5
_FILLS = {"image": 0, "label_ids": 255, "instance_ids": 0, "confidence": 0}


def shards(count: int) -> list[tuple[int, int, int]]:
    """(shard, start, stop) of every shard of `count` samples, in order; the last may be short."""
    return [(start // SHARD, start, min(start + SHARD, count)) for start in range(0, count, SHARD)]


def create_split(
    path: Path,
    count: int,
    size: tuple[int, int],
    names: Sequence[str],
    attributes: Mapping[str, Any],
    codec: Codec = "fast",
) -> None:
    """Make the arrays of a split, without samples. Does nothing when the same arrays are there.

    Args:
        path: the group's folder, `<split>.zarr`.
        count: number of samples, N.
        size: (H, W).
        names: which of image, label_ids, instance_ids and confidence.
        attributes: JSON kept with the group.
        codec: how samples are packed; see the table above.

    Raises:
        StorageError: other arrays are there already, or a name is unknown.
    """
    if unknown := set(names) - set(DTYPES):
        raise StorageError(
            f"{path}: no such array as {', '.join(sorted(unknown))}; there are {', '.join(DTYPES)}"
        )
    for name, content in sorted(_metadata(count, size, names, attributes, codec).items(), reverse=True):
        # the group's own file comes last: with it, all are there
        file = path / name
        if not file.exists():
            put_bytes(file, content)
        elif file.read_bytes() != content:
            raise StorageError(
                f"{file}: other arrays are being made here; delete the folder {path.parent} to begin anew"
            )


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
        self._metadata = dict(sorted(_array_metadata(path).items()))
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
            file = _shard_file(self.path, name, self._shard, len(self._metadata[name]["shape"]))
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
    ours, theirs = _array_metadata(path), _array_metadata(earlier)
    if set(ours) != set(theirs) or any(
        _form(ours[name], shard) != _form(theirs[name], shard) for name in ours
    ):
        return False
    taken = []
    for name, metadata in ours.items():
        source, target = (_shard_file(each, name, shard, len(metadata["shape"])) for each in (earlier, path))
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
            file = _shard_file(self.path, self._name, shard, self.ndim)
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
        arrays = {name: SplitArray(path, name, metadata) for name, metadata in _array_metadata(path).items()}
    except (OSError, ValueError, KeyError) as error:
        raise DamagedArtifact(
            f"{path}: not the arrays of a split ({error}). {how_to_mend(path.parent)}"
        ) from error
    return SplitArrays(path, arrays, attributes)


def _marked(record: FileRecord, etag: str | None) -> dict[str, Any]:
    """A file as a marker tells it: by the etag of its object a mirror knows it again, without fetching it."""
    return record.model_dump() | ({} if etag is None else {"etag": etag})


def _marker(path: Path, shard: int) -> Path:
    return path.parent / "done" / path.name / f"{shard:05}.json"


def _shard_file(path: Path, name: str, shard: int, ndim: int) -> Path:
    return path.joinpath(name, "c", str(shard), *("0" for _ in range(ndim - 1)))


def _array_metadata(path: Path) -> dict[str, dict[str, Any]]:
    """name → what the array's zarr.json says, in the order of DTYPES."""
    files = {name: path / name / "zarr.json" for name in DTYPES}
    return {name: json.loads(file.read_bytes()) for name, file in files.items() if file.exists()}


def _metadata(
    count: int, size: tuple[int, int], names: Sequence[str], attributes: Mapping[str, Any], codec: Codec
) -> dict[str, bytes]:
    """Every zarr.json of a split, as Zarr itself writes it."""
    import zarr
    from zarr.storage import MemoryStore

    kept: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(kept), attributes=dict(attributes), zarr_format=3)
    for name in names:
        shape = (count, *size, 3) if name == "image" else (count, *size)
        group.create_array(
            name,
            shape=shape,
            dtype=DTYPES[name],
            chunks=(1, *shape[1:]),
            shards=(SHARD, *shape[1:]),
            compressors=_lossless(name, codec),
            fill_value=_FILLS[name],
            # as xarray wants them
            dimension_names=DIMENSIONS[: len(shape)],
        )
    return {name: content.to_bytes() for name, content in kept.items()}


def _lossless(name: str, codec: Codec) -> Any:
    """Zarr's codecs that pack one sample of an array. Each has a checksum: few notice a flipped byte else."""
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

    if codec == "raw":
        return Crc32cCodec()
    if name != "image":
        return ZstdCodec(level=3, checksum=True)
    # without shuffle lz4 takes more bytes, and is unpacked sooner: to read fast is what it is for
    blosc = {
        "fast": BloscCodec(typesize=1, cname="lz4", clevel=9, shuffle="noshuffle", blocksize=1 << 18),
        "small": BloscCodec(typesize=3, cname="zstd", clevel=5, shuffle="bitshuffle"),
    }
    return blosc[codec], Crc32cCodec()
