"""Samples into a shard's file, byte for byte as zarr-python writes it (a test compares).

Each sample is packed as it comes, so that a shard takes the memory of its packed samples; and by the codecs
alone, without the event loop of zarr-python, which took as long again as they do. See `storage.shards` for
what is in the file.

Source: Zarr v3 specification, "Sharding codec", version 1.0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from crc32c import crc32c
from numcodecs import Blosc, Zstd

Array = np.ndarray[Any, Any]
_Pack = Callable[[Any], bytes]
_SHUFFLES = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}
# an index entry of a chunk that was never written
_NONE = 2**64 - 1


class ShardPacker:
    """Packs the samples of one array; threads may share it."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        """Understand an array that `storage.split_layout` made.

        Args:
            metadata: of its zarr.json.
        """
        self._shape = tuple(metadata["shape"][1:])
        self._dtype = np.dtype(metadata["data_type"]).newbyteorder("<")
        self._per_shard = int(metadata["chunk_grid"]["configuration"]["chunk_shape"][0])
        first, *codecs = metadata["codecs"][0]["configuration"]["codecs"]
        assert first["name"] == "bytes", first
        self._steps = [_packer_of(codec) for codec in codecs]

    def pack(self, sample: Array) -> bytes:
        """The chunk of one sample.

        Raises:
            ValueError: it has another shape or dtype than the array.
        """
        if sample.shape != self._shape or sample.dtype != self._dtype:
            raise ValueError(
                f"a sample is {self._shape} {self._dtype.name}; got {sample.shape} {sample.dtype}"
            )
        packed: Any = np.ascontiguousarray(sample, self._dtype)
        for step in self._steps:
            packed = step(packed)
        return bytes(packed)

    def file(self, chunks: Sequence[bytes]) -> bytes:
        """The shard's file, of its chunks in order; the last shard of an array may have fewer than others."""
        entries, start = [], 0
        for chunk in chunks:
            entries.append(struct.pack("<QQ", start, len(chunk)))
            start += len(chunk)
        entries += [struct.pack("<QQ", _NONE, _NONE)] * (self._per_shard - len(chunks))
        return b"".join([*chunks, _with_crc(b"".join(entries))])


def _packer_of(codec: Mapping[str, Any]) -> _Pack:
    """The function that one entry of a zarr.json names; whoever adds a codec has to add it here."""
    config = codec.get("configuration", {})
    if codec["name"] == "crc32c":
        return _with_crc
    if codec["name"] == "zstd":
        return Zstd(config["level"], config["checksum"]).encode
    assert codec["name"] == "blosc", codec
    shuffle, size = _SHUFFLES[config["shuffle"]], config["blocksize"]
    blosc = Blosc(config["cname"], config["clevel"], shuffle, size, typesize=config["typesize"])
    return blosc.encode


def _with_crc(content: Any) -> bytes:
    """The bytes, and their CRC-32C in little-endian order."""
    data = memoryview(content).cast("B")
    return b"".join((data, crc32c(data).to_bytes(4, "little")))
