"""One sample out of a shard's file, without Zarr's machinery: for training, which reads one after another.

A shard is a file of chunks, one a sample, and at its end the index: offset and length of every chunk as two
64-bit little-endian numbers, and a CRC-32C of these. zarr-python reads the same files (tests compare) through
an event loop of its own, at a fraction of the rate (benchmarks/reading_samples.py).

Source: Zarr v3 specification, "Sharding codec", version 1.0; RFC 3720, appendix B.4, for CRC-32C.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import blosc, zstd

_CRC_BYTES = 4
_INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
# an index entry of a chunk that was never written
_NONE = 2**64 - 1


class DamagedSample(ValueError):
    """One sample of a shard cannot be read; `row` says which of the shard, `why` what is wrong."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(f"sample {row} of the shard: {why}")
        self.row, self.why = row, why


class ShardReader:
    """Reads the samples of one array; threads and processes may share it, for it keeps no file open."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        """Understand an array.

        Args:
            metadata: of its zarr.json.

        Raises:
            ValueError: the array is of another form than `storage.arrays` writes.
        """
        shape = metadata["shape"]
        shard = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        codec = metadata["codecs"][0]
        if codec["name"] != "sharding_indexed":
            raise ValueError("it has no shards")
        config = codec["configuration"]
        if config["index_location"] != "end" or config["index_codecs"] != _INDEX_CODECS:
            raise ValueError("its index is not of little-endian numbers with a CRC-32C, at the end")
        if shard[1:] != shape[1:] or config["chunk_shape"] != [1, *shape[1:]]:
            raise ValueError("its chunks are not one sample each")
        self._shape = tuple(shape[1:])
        self._dtype = np.dtype(metadata["data_type"]).newbyteorder("<")
        self._per_shard = int(shard[0])
        self._decode = _DECODERS[_names(config["codecs"])]

    def read(self, file: Path, rows: range) -> np.ndarray[Any, Any]:
        """(len(rows), ...) samples of a shard, from rows 0.. of it.

        Raises:
            DamagedSample: the bytes are not those of such a sample.
            ValueError: the index is damaged, so that no sample can be found.
            OSError: the file is missing or cannot be read.
        """
        out = np.empty((len(rows), *self._shape), self._dtype)
        with file.open("rb", buffering=0) as opened:
            descriptor = opened.fileno()
            index = self._index(descriptor)
            for sample, row in zip(out, rows, strict=True):
                try:
                    self._decode(_part(descriptor, *index[row].tolist()), sample)
                except (ValueError, RuntimeError) as error:
                    raise DamagedSample(row, str(error)) from error
        return out

    def _index(self, descriptor: int) -> np.ndarray[Any, Any]:
        """(samples a shard, 2) uint64 offsets and lengths."""
        length = self._per_shard * 16 + _CRC_BYTES
        start = os.fstat(descriptor).st_size - length
        if start < 0:
            raise ValueError("shorter than its index")
        try:
            return np.frombuffer(_checked(_part(descriptor, start, length)), "<u8").reshape(-1, 2)
        except ValueError as error:
            raise ValueError(f"the shard's index: {error}") from error


def _part(descriptor: int, start: int, length: int) -> bytes:
    """`length` bytes from `start` on."""
    if _NONE in (start, length):
        raise ValueError("never written")
    if start + length > os.fstat(descriptor).st_size:
        raise ValueError("it ends beyond the end of the file")
    content = os.pread(descriptor, length, start)
    if len(content) != length:
        raise ValueError(f"{len(content)} bytes in place of {length}")
    return content


def _checked(content: bytes) -> bytes:
    """What stands in front of the CRC-32C at the end, which must be right."""
    body = content[:-_CRC_BYTES]
    if google_crc32c.value(body) != int.from_bytes(content[-_CRC_BYTES:], "little"):
        raise ValueError("its CRC-32C is wrong")
    return body


def _decode_blosc(content: bytes, sample: np.ndarray[Any, Any]) -> None:
    body = _checked(content)
    _check_length(int.from_bytes(body[4:8], "little"), sample)  # as its header says
    blosc.decompress(body, sample)


def _decode_zstd(content: bytes, sample: np.ndarray[Any, Any]) -> None:
    # zstd has a checksum of its own
    decoded = zstd.decompress(content)
    _check_length(len(decoded), sample)
    sample[...] = np.frombuffer(decoded, sample.dtype).reshape(sample.shape)


def _check_length(decoded: int, sample: np.ndarray[Any, Any]) -> None:
    if decoded != sample.nbytes:
        raise ValueError(f"{decoded} bytes decoded in place of {sample.nbytes}")


def _names(codecs: list[dict[str, Any]]) -> tuple[str, ...]:
    """Names of the codecs of a chunk; whoever adds one has to add what decodes it."""
    names = tuple(codec["name"] for codec in codecs)
    if names not in _DECODERS:
        raise ValueError(f"no way to decode {', '.join(names)}")
    return names


_DECODERS = {("bytes", "blosc", "crc32c"): _decode_blosc, ("bytes", "zstd"): _decode_zstd}
