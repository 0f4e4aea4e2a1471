"""Samples out of a shard's file, without Zarr's machinery: for training, which reads one after another.

A shard is a file of chunks, one a sample, and at its end the index: offset and length of every chunk as two
64-bit little-endian numbers, and a CRC-32C of these. zarr-python reads the same files (tests compare) through
an event loop of its own, at a fraction of the rate (benchmarks/reading.py).

Source: Zarr v3 specification, "Sharding codec", version 1.0; RFC 3720, appendix B.4, for CRC-32C.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from crc32c import crc32c
from numcodecs import blosc, zstd

# readers are many threads already, and a pool of its own would not survive a fork
blosc.use_threads = False

Array = np.ndarray[Any, Any]
_CRC_BYTES = 4
_INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
# an index entry of a chunk that was never written
_NONE = 2**64 - 1


class DamagedSample(ValueError):
    """One sample of a shard cannot be read; `row` says which of the shard, `why` what is wrong."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(f"sample {row} of the shard: {why}")
        self.row, self.why = row, why


class Window:
    """A part of a sample: `height` x `width` pixels from row `top` and column `left` on."""

    def __init__(self, top: int, left: int, height: int, width: int) -> None:
        self.top, self.left, self.height, self.width = top, left, height, width
        self.of_sample = (slice(top, top + height), slice(left, left + width))

    def fits(self, height: int, width: int) -> bool:
        """Whether it lies within a sample of that size, and holds a pixel."""
        down, across = (self.top, self.height, height), (self.left, self.width, width)
        return all(start >= 0 and size > 0 and start + size <= whole for start, size, whole in (down, across))


class ShardReader:
    """Reads the samples of one array; threads and processes may share it, for it keeps no file open.

    Before and after a fork, and pickled, it is the same: all it knows is the form of the array.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        """Understand an array.

        Args:
            metadata: of its zarr.json.

        Raises:
            ValueError: the array is of another form than `storage.split_layout` lays out.
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
        self._nbytes = math.prod(self._shape) * self._dtype.itemsize
        self._per_shard = int(shard[0])
        self._decode = _DECODERS[_names(config["codecs"])]

    def read(self, file: Path, rows: range, window: Window | None = None) -> Array:
        """(len(rows), ...) samples of a shard, from rows 0.. of it; of each the window, where one is given.

        Raises:
            DamagedSample: the bytes are not those of such a sample.
            ValueError: the index is damaged, so that no sample can be found.
            OSError: the file is missing or cannot be read.
        """
        shape = self._shape if window is None else (window.height, window.width, *self._shape[2:])
        out = np.empty((len(rows), *shape), self._dtype)
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            index = self._index(descriptor, size)
            for sample, row in zip(out, rows, strict=True):
                try:
                    start, length = index[row].tolist()
                    _check_place(start, length, size)
                    self._fill(descriptor, start, length, sample, window)
                except (ValueError, RuntimeError) as error:
                    raise DamagedSample(row, str(error)) from error
        finally:
            os.close(descriptor)
        return out

    def _fill(self, descriptor: int, start: int, length: int, sample: Array, window: Window | None) -> None:
        if window is None:
            self._decode(descriptor, start, length, sample)
            return
        # decoded whole, since its checksum is of the whole
        whole = _scratch("decoded", self._nbytes).view(self._dtype).reshape(self._shape)
        self._decode(descriptor, start, length, whole)
        sample[...] = whole[window.of_sample]

    def _index(self, descriptor: int, size: int) -> Array:
        """(samples a shard, 2) uint64 offsets and lengths."""
        length = self._per_shard * 16 + _CRC_BYTES
        if size < length:
            raise ValueError("shorter than its index")
        try:
            # a copy: the samples are read into the same scratch memory
            index = _checked(_part(descriptor, size - length, length)).copy()
        except ValueError as error:
            raise ValueError(f"the shard's index: {error}") from error
        return index.view("<u8").reshape(-1, 2)


def _check_place(start: int, length: int, size: int) -> None:
    if _NONE in (start, length):
        raise ValueError("never written")
    if start + length > size:
        raise ValueError("it ends beyond the end of the file")


_of_thread = threading.local()


def _scratch(name: str, length: int) -> Array:
    """(length,) uint8 of this thread's own, there until the thread asks for it again.

    Fresh memory for every sample would cost a page fault for each of its pages.
    """
    memory: Array | None = getattr(_of_thread, name, None)
    if memory is None or len(memory) < length:
        memory = np.empty(length, np.uint8)
        setattr(_of_thread, name, memory)
    return memory[:length]


def _part(descriptor: int, start: int, length: int) -> Array:
    """(length,) uint8 from `start` on, in scratch memory."""
    content = _scratch("read", length)
    _read_into(descriptor, start, content)
    return content


def _read_into(descriptor: int, start: int, memory: Array) -> None:
    read = os.preadv(descriptor, [memory.data], start)
    if read != memory.nbytes:
        raise ValueError(f"{read} bytes in place of {memory.nbytes}")


def _checked(content: Array) -> Array:
    """What stands in front of the CRC-32C at the end, which must be right."""
    if len(content) < _CRC_BYTES:
        raise ValueError(f"{len(content)} bytes have no room for a checksum")
    body = content[:-_CRC_BYTES]
    if crc32c(body.data) != int.from_bytes(content[-_CRC_BYTES:].tobytes(), "little"):
        raise ValueError("its CRC-32C is wrong")
    return body


def _decode_blosc(descriptor: int, start: int, length: int, sample: Array) -> None:
    body = _checked(_part(descriptor, start, length))
    _check_length(int.from_bytes(body[4:8].tobytes(), "little"), sample)  # as its header says
    blosc.decompress(body.data, sample)


def _decode_zstd(descriptor: int, start: int, length: int, sample: Array) -> None:
    # zstd has a checksum of its own
    decoded = zstd.decompress(_part(descriptor, start, length).data)
    _check_length(len(decoded), sample)
    sample[...] = np.frombuffer(decoded, sample.dtype).reshape(sample.shape)


def _decode_raw(descriptor: int, start: int, length: int, sample: Array) -> None:
    _check_length(length - _CRC_BYTES, sample)
    # straight to where it belongs: the pixels are moved once
    pixels = sample.reshape(-1).view(np.uint8)
    _read_into(descriptor, start, pixels)
    crc = os.pread(descriptor, _CRC_BYTES, start + pixels.nbytes)
    if crc32c(pixels.data) != int.from_bytes(crc, "little"):
        raise ValueError("its CRC-32C is wrong")


def _check_length(decoded: int, sample: Array) -> None:
    if decoded != sample.nbytes:
        raise ValueError(f"{decoded} bytes decoded in place of {sample.nbytes}")


def _names(codecs: list[dict[str, Any]]) -> tuple[str, ...]:
    """Names of the codecs of a chunk; whoever adds one has to add what decodes it."""
    names = tuple(codec["name"] for codec in codecs)
    if names not in _DECODERS:
        raise ValueError(f"no way to decode {', '.join(names)}")
    return names


_DECODERS: dict[tuple[str, ...], Callable[[int, int, int, Array], None]] = {
    ("bytes", "blosc", "crc32c"): _decode_blosc,
    ("bytes", "zstd"): _decode_zstd,
    ("bytes", "crc32c"): _decode_raw,
}
