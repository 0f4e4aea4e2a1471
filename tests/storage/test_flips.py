"""One flipped byte anywhere is found and named: by `verify` always, and by whoever reads its sample."""

from __future__ import annotations

import random
import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crc32c import crc32c
from every_kind import make_every_kind

from storage.arrays import open_split
from storage.check import Problem
from storage.errors import DamagedArtifact
from storage.files import files_under
from storage.refs import KINDS, ArtifactRef
from storage.shard_index import shard_of
from storage.store import Store

FLIPS = 500
Arrays = dict[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, ArtifactRef]]:
    store = Store(tmp_path_factory.mktemp("kinds"))
    return store, make_every_kind(store)


def read(folder: Path) -> Arrays:
    """Every sample of an artifact, one by one, as training and scoring read them."""
    return {
        f"{path.name}/{name}": np.stack(list(array))
        for path in sorted(folder.glob("*.zarr"))
        for name, array in open_split(path).items()
    }


def test_five_hundred_flips_over_every_kind_are_found_and_named(
    kinds: tuple[Store, dict[str, ArtifactRef]],
) -> None:
    """Faults: a file that is not read to its end; a codec without a checksum; an error that names nothing."""
    store, refs = kinds
    choose = random.Random(6)
    whole = {kind: read(store.path(ref)) for kind, ref in refs.items()}
    counts: Counter[str] = Counter()
    for flip in range(FLIPS):
        kind = KINDS[flip % len(KINDS)]
        folder = store.path(refs[kind])
        file = choose.choice(list(files_under(folder)))
        content = file.read_bytes()
        at, bit = choose.randrange(len(content)), 1 << choose.randrange(8)
        file.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
        name = file.relative_to(folder).as_posix()
        assert store.verify(refs[kind]) == [Problem(refs[kind], name, "altered")]
        counts["found by verify"] += 1
        array, shard = shard_of(name)
        if array:
            counts["in shards"] += 1
            counts["of these found by verify --quick"] += bool(store.verify(refs[kind], quick=True))
            found = _found_by_reading(refs[kind], folder, array, shard, whole[kind])
            counts["of these found by reading"] += found
        file.write_bytes(content)
    assert store.verify() == []
    assert counts["found by verify"] == FLIPS
    assert counts["of these found by reading"] == counts["in shards"] > 30
    print(dict(counts))


def _found_by_reading(ref: ArtifactRef, folder: Path, array: str, shard: int, whole: Arrays) -> bool:
    """Whether it is found; if not, the flip must be one that changes no sample."""
    try:
        seen = read(folder)
    except DamagedArtifact as error:
        message = str(error)
    else:
        np.testing.assert_equal(seen, whole)
        return False
    sample = re.match(rf"{ref}: sample (\d+) of {array} cannot be read: ", message)
    assert sample is not None, message
    assert int(sample[1]) // 16 == shard
    assert f"of shard {shard}, " in message
    assert f"`segspade artifacts remove {ref} --force --workspace " in message
    return True


def _with_index(content: bytes, **entries: tuple[int, int]) -> bytes:
    """A shard whose index says something else, with a CRC-32C that is right."""
    index = bytearray(content[-260:-4])
    for row, entry in entries.items():
        struct.pack_into("<QQ", index, int(row.removeprefix("row")) * 16, *entry)
    return content[:-260] + index + crc32c(bytes(index)).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"row3": (2**64 - 1, 2**64 - 1)}, "sample 3 of the shard was never written"),
        ({"row15": (8, 10**9)}, "sample 15 of the shard ends beyond the end of the file"),
        ({"row2": (0, 1), "row5": (0, 1)}, "samples 2 and 5 of the shard overlap"),
    ],
)
def test_an_index_that_cannot_be_is_seen_without_reading_samples(
    kinds: tuple[Store, dict[str, ArtifactRef]], entries: dict[str, tuple[int, int]], says: str
) -> None:
    """Fault: `--quick` believes whatever has a right checksum."""
    store, refs = kinds
    file = store.path(refs["images"]) / "val.zarr/image/c/0/0/0/0"
    content = file.read_bytes()
    file.write_bytes(_with_index(content, **entries))
    (problem,) = store.verify(refs["images"], quick=True)
    file.write_bytes(content)
    assert problem.file == "val.zarr/image/c/0/0/0/0"
    assert re.fullmatch(says, problem.what), problem.what


def test_quick_reads_no_samples_and_sees_sizes_indexes_and_descriptions(
    kinds: tuple[Store, dict[str, ArtifactRef]],
) -> None:
    """Fault: `--quick` reads all, or so little that a lost file passes."""
    store, refs = kinds
    folder = store.path(refs["dataset"])
    shard = folder / "train.zarr/label_ids/c/1/0/0"
    expected = {
        shard: ("the CRC-32C of its index is wrong", -3),
        folder / "train.zarr/image/zarr.json": ("altered", 40),
    }
    for file, (what, at) in expected.items():
        content = bytearray(file.read_bytes())
        content[at] ^= 8
        kept, _ = file.read_bytes(), file.write_bytes(content)
        found = store.verify(refs["dataset"], quick=True)
        assert (file.relative_to(folder).as_posix(), what) in [(each.file, each.what) for each in found]
        file.write_bytes(kept)
    kept, _ = shard.read_bytes(), shard.write_bytes(b"\0" * 100 + shard.read_bytes()[100:])
    assert store.verify(refs["dataset"], quick=True) == []
    shard.unlink()
    assert [each.what for each in store.verify(refs["dataset"], quick=True)] == ["missing"]
    shard.write_bytes(kept)
    assert store.verify() == []


@pytest.mark.parametrize("quick", [False, True])
def test_every_byte_is_told_once(kinds: tuple[Store, dict[str, ArtifactRef]], quick: bool) -> None:
    """Fault: the bar stops short of the end, or runs past it."""
    store, refs = kinds
    told: list[int] = []
    assert store.verify(quick=quick, on_bytes=told.append) == []
    listed = [file.bytes for ref in refs.values() for file in store.manifest(ref).files]
    described = sum(
        file.bytes for ref in refs.values() for file in store.manifest(ref).files if "zarr.json" in file.path
    )
    assert sum(told) == sum(listed)
    assert described > 0


def test_an_artifact_that_is_deleted_meanwhile_is_no_problem(
    kinds: tuple[Store, dict[str, ArtifactRef]], tmp_path: Path
) -> None:
    """Fault: `verify` beside `gc` reports damage, or ends in a traceback."""
    store = Store(tmp_path)
    refs = make_every_kind(store)

    def delete_all(_: int) -> None:
        for ref in refs.values():
            if store.exists(ref):
                store.remove(ref)

    assert store.verify(on_bytes=delete_all) == []
