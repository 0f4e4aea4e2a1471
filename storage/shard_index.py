"""The index at the end of a shard's file: where each sample lies, and whether that can be.

Source: Zarr v3 specification, "Sharding codec", version 1.0; RFC 3720, appendix B.4, for CRC-32C. Nothing
heavy is imported: `verify --quick` answers at once.
"""

from __future__ import annotations

import json
import re
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

# the file that describes an array
ARRAY = "zarr.json"
_SHARD = re.compile(r"(?P<array>.+)/c/(?P<shard>\d+)(?:/0)*")
_ENTRY = struct.Struct("<QQ")
_CRC_BYTES = 4
# an entry of a sample that was never written
_NONE = 2**64 - 1


def shard_of(name: str) -> tuple[str, int]:
    """The array's folder and the number of the shard that a file of an artifact is; ("", -1): none.

    Args:
        name: path relative to the artifact, with '/', such as 'val.zarr/image/c/1/0/0/0'.
    """
    found = _SHARD.fullmatch(name)
    return (found["array"], int(found["shard"])) if found else ("", -1)


def is_shard(path: str) -> bool:
    """Whether a file of an artifact is a shard of an array, which is fetched only when it is read."""
    first, _, rest = path.partition("/")
    return first.endswith(".zarr") and "/c/" in rest


def index_problem(folder: Path, name: str) -> str | None:
    """What is wrong with the index of a shard; None: nothing.

    Args:
        folder: of the artifact.
        name: of the shard's file in it.

    Raises:
        OSError: the file cannot be read.
    """
    array, shard = shard_of(name)
    try:
        per_shard, samples = _form(json.loads((folder / array / ARRAY).read_bytes()), shard)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        return f"its array cannot be understood ({error})"
    length = per_shard * _ENTRY.size + _CRC_BYTES
    with (folder / name).open("rb", buffering=0) as file:
        end = file.seek(0, 2) - length
        if end < 0:
            return "shorter than its index"
        file.seek(end)
        index = file.read(length)
    return _wrong_entry(index, samples, end)


def _form(metadata: dict[str, Any], shard: int) -> tuple[int, int]:
    """Entries of a shard's index, and how many of them are of samples."""
    codec = metadata["codecs"][0]
    if codec["name"] != "sharding_indexed" or codec["configuration"].get("index_location", "end") != "end":
        raise ValueError("it has no shards with an index at the end")
    per_shard = int(metadata["chunk_grid"]["configuration"]["chunk_shape"][0])
    return per_shard, min(per_shard, int(metadata["shape"][0]) - shard * per_shard)


def _wrong_entry(index: bytes, samples: int, end: int) -> str | None:
    from crc32c import crc32c

    body = index[:-_CRC_BYTES]
    if crc32c(body) != int.from_bytes(index[-_CRC_BYTES:], "little"):
        return "the CRC-32C of its index is wrong"
    taken = []
    for row, (start, length) in enumerate(list(_ENTRY.iter_unpack(body))[:samples]):
        if _NONE in (start, length):
            return f"sample {row} of the shard was never written"
        if start + length > end:
            return f"sample {row} of the shard ends beyond the end of the file"
        taken.append((start, start + length, row))
    taken.sort()
    for (_, stop, one), (start, _, other) in pairwise(taken):
        if start < stop:
            return f"samples {min(one, other)} and {max(one, other)} of the shard overlap"
    return None
