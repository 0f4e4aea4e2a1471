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

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from storage.errors import StorageError
from storage.files import put_bytes

SHARD = 16
Codec = Literal["fast", "small", "raw"]
DTYPES = {"image": "uint8", "label_ids": "uint8", "instance_ids": "uint16", "confidence": "uint8"}
# of an array's axes, in their order; only photographs have the last
DIMENSIONS = ("sample", "y", "x", "channel")
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


# kept, since putting a path together is felt beside reading a raw crop (benchmarks/reading.py)
@functools.lru_cache(maxsize=4096)
def shard_file(path: Path, name: str, shard: int, ndim: int) -> Path:
    return path.joinpath(name, "c", str(shard), *("0" for _ in range(ndim - 1)))


def array_metadata(path: Path) -> dict[str, dict[str, Any]]:
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
