"""Samples come back as they were; a shard that is lost or damaged is never read as void."""

from __future__ import annotations

import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from storage.arrays import open_split
from storage.errors import DamagedArtifact, StorageError
from storage.files import files_under
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.shard_writing import shard_done, write_shard
from storage.split_layout import SHARD, create_split, shards

MADE_OF = {"stage": "ingest", "revision": 1, "config": {}, "inputs": {"source": "source/" + "0" * 32}}
REF = ArtifactRef(kind="dataset", key=artifact_key(**MADE_OF))


def write(path: Path, samples: dict[str, np.ndarray]) -> Path:
    count = len(samples["image"])
    create_split(path, count, samples["image"].shape[1:3], tuple(samples), {"stage": "ingest"})
    for shard, start, stop in shards(count):
        write_shard(path, shard, {name: array[start:stop] for name, array in samples.items()})
    return path


@pytest.fixture
def folder(store) -> Path:
    """Where an artifact is being made."""
    return store.staging_path(REF)


@pytest.fixture
def split(folder, samples) -> Path:
    return write(folder / "train.zarr", samples)


@given(st.integers(0, 500))
def test_shards_cover_every_sample_once_in_order(count):
    parts = shards(count)
    assert [row for _, start, stop in parts for row in range(start, stop)] == list(range(count))
    assert [shard for shard, _, _ in parts] == list(range(len(parts)))
    assert all(start == shard * SHARD and 0 < stop - start <= SHARD for shard, start, stop in parts)


def test_samples_come_back_however_they_are_sliced(split, samples):
    arrays = open_split(split)
    assert list(arrays) == ["image", "label_ids", "instance_ids"]
    assert arrays.attributes == {"stage": "ingest"}
    for name, expected in samples.items():
        array = arrays[name]
        assert (array.shape, array.dtype, len(array)) == (expected.shape, expected.dtype, len(expected))
        for index in (0, 15, 16, 19, -1, -20, np.int64(3)):
            np.testing.assert_array_equal(array[index], expected[index])
        for index in (
            slice(None),
            slice(3, 18),
            slice(16, 16),
            slice(18, 99),
            slice(9, 2),
            slice(1, 20, 7),
            slice(None, None, -6),
        ):
            np.testing.assert_array_equal(array[index], expected[index])
        np.testing.assert_array_equal(np.stack(list(array)), expected)
        for index in (20, -21):
            with pytest.raises(IndexError, match="which has 20"):
                array[index]


def test_what_is_read_may_be_written_to_and_does_not_change_the_store(split, samples):
    """Training shuffles and flips in place; torch refuses arrays that cannot be written to with a warning."""
    image = open_split(split)["image"][2]
    image[:] = 0
    np.testing.assert_array_equal(open_split(split)["image"][2], samples["image"][2])


def test_zarr_reads_what_we_write(split, samples):
    """Peer: the files are plain Zarr v3 for anyone."""
    group = zarr.open_group(split, mode="r", zarr_format=3)
    for name, expected in samples.items():
        array = group[name]
        np.testing.assert_array_equal(array[:], expected)
        assert array.shards == (16, *expected.shape[1:])
        assert array.chunks == (1, *expected.shape[1:])
    assert group["label_ids"].fill_value == 255
    assert dict(group.attrs) == {"stage": "ingest"}


def test_equal_samples_are_equal_files(split, samples, store):
    """Written in another order, by threads, and in a second try: the bytes do not tell."""
    other = store.staging_path(ArtifactRef(kind="dataset", key="0" * 16)) / "train.zarr"
    create_split(other, 20, (8, 12), ("instance_ids", "image", "label_ids"), {"stage": "ingest"})
    parts = [(shard, {name: array[a:b] for name, array in samples.items()}) for shard, a, b in shards(20)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda part: write_shard(other, *part), [*parts[::-1], *parts]))
    contents = [
        {path.relative_to(root).as_posix(): path.read_bytes() for path in files_under(root)}
        for root in (split.parent, other.parent)
    ]
    assert contents[0] == contents[1]


def test_many_threads_write_different_shards(folder):
    path = folder / "train.zarr"
    images = np.random.default_rng(1).integers(0, 256, (250, 4, 6, 3), dtype=np.uint8)
    create_split(path, 250, (4, 6), ("image",), {})
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda part: write_shard(path, part[0], {"image": images[part[1] : part[2]]}), shards(250)
            )
        )
    np.testing.assert_array_equal(open_split(path)["image"][:], images)
    assert all(shard_done(path, shard, deep=True) for shard, _, _ in shards(250))


def test_a_shard_of_void_is_a_file_too(folder):
    """Zarr leaves out what is all fill value, which could not be told from what was lost."""
    path = folder / "val.zarr"
    create_split(path, 2, (4, 4), ("label_ids",), {})
    assert not shard_done(path, 0)
    (record,) = write_shard(path, 0, {"label_ids": np.full((2, 4, 4), 255, np.uint8)})
    assert record.path == "val.zarr/label_ids/c/0/0/0"
    assert (folder / record.path).stat().st_size == record.bytes
    assert shard_done(path, 0, deep=True)
    assert not shard_done(path, 1)
    assert (open_split(path)["label_ids"][:] == 255).all()


def test_a_split_without_samples_is_one(folder):
    create_split(folder / "test.zarr", 0, (4, 4), ("image",), {})
    assert open_split(folder / "test.zarr")["image"][:].shape == (0, 4, 4, 3)


@pytest.mark.parametrize("backend", ["local"], indirect=True)
def test_a_shard_is_done_only_while_its_files_are(split):
    file = split / "label_ids" / "c" / "1" / "0" / "0"
    whole = file.read_bytes()
    file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert shard_done(split, 1)
    assert not shard_done(split, 1, deep=True)
    file.write_bytes(whole[:-1])
    assert not shard_done(split, 1)
    file.unlink()
    assert not shard_done(split, 1)
    assert shard_done(split, 0)
    (split.parent / "done" / "train.zarr" / "00000.json").write_text("[{")
    assert not shard_done(split, 0)


def test_create_again_changes_nothing_and_other_arrays_are_refused(split, samples):
    before = {path: path.read_bytes() for path in files_under(split)}
    create_split(split, 20, (8, 12), tuple(samples), {"stage": "ingest"})
    assert {path: path.read_bytes() for path in files_under(split)} == before
    for other in (
        (21, (8, 12), tuple(samples), {"stage": "ingest"}),
        (20, (12, 8), tuple(samples), {"stage": "ingest"}),
        (20, (8, 12), tuple(samples), {"stage": "segment"}),
    ):
        with pytest.raises(StorageError, match="other arrays are being made here"):
            create_split(split, *other)
    with pytest.raises(StorageError, match="no such array as depth"):
        create_split(split.parent / "b.zarr", 1, (2, 2), ("depth",), {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"image": s["image"]}, "a shard has image, instance_ids, label_ids; got image"),
        (
            lambda s: {**s, "image": s["image"][:15]},
            r"shard 0 has 16 samples; got \{.*'image': 15",
        ),
        (lambda s: {**s, "image": s["image"].astype("f4")}, "uint8; got .* float32"),
        (
            lambda s: {**s, "label_ids": s["label_ids"].swapaxes(1, 2)},
            r"label_ids of shard 0: a sample is \(8, 12\) uint8; got \(12, 8\)",
        ),
        (lambda s: {**s, "instance_ids": s["instance_ids"].astype("i4")}, "uint16; got .* int32"),
    ],
)
def test_a_shard_that_does_not_fit_is_refused(split, samples, change, message):
    with pytest.raises(StorageError, match=message):
        write_shard(split, 0, change({name: array[:16] for name, array in samples.items()}))


@pytest.mark.parametrize("shard", [2, -1])
def test_a_shard_that_is_not_there_is_not_written(split, samples, shard):
    with pytest.raises(StorageError, match=f"there is no shard {shard} of 20 samples"):
        write_shard(split, shard, {name: array[16:] for name, array in samples.items()})


@pytest.mark.parametrize("name", ["image", "label_ids", "instance_ids"])
def test_a_damaged_shard_is_named_when_it_is_read(split, samples, name):
    """FACTS of the codecs: without checksums 44 of 48 flipped bytes would be read as pixels."""
    file = next(path for path in files_under(split / name / "c") if "/1/" in path.as_posix())
    whole = file.read_bytes()
    array = open_split(split)[name]
    for at in np.linspace(0, len(whole) - 1, 25).astype(int):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(DamagedArtifact, match=re.escape(str(file))):
            array[16:]
        np.testing.assert_array_equal(array[:16], samples[name][:16])
    file.unlink()
    with pytest.raises(DamagedArtifact, match=r"sample 16 of train\.zarr/.* the shard's file is missing "):
        array[14:17]


def test_a_committed_split_with_a_lost_or_short_shard_is_not_opened(store, stored, samples):
    with store.writer(REF) as staging:
        write(staging.path / "train.zarr", samples)
        staging.commit(**MADE_OF)
    path = store.path(REF) / "train.zarr"
    assert not any(name.startswith("done/") for name in stored.names(store.path(REF)))
    assert open_split(path)["image"].shape == (20, 8, 12, 3)
    file = path / "image" / "c" / "0" / "0" / "0" / "0"
    kept = stored.read(file)
    stored.write(file, kept + b"x")
    with pytest.raises(DamagedArtifact, match=r"train\.zarr/image/c/0/0/0/0: altered: \d+ bytes"):
        open_split(path)
    stored.delete(file)
    with pytest.raises(
        DamagedArtifact,
        match=r"train\.zarr/image/c/0/0/0/0: missing\. `segspade artifacts remove .*makes it again",
    ):
        open_split(path)
    stored.write(file, kept)
    stored.delete(path / "label_ids" / "zarr.json")
    with pytest.raises(DamagedArtifact, match=r"label_ids/zarr\.json: missing"):
        open_split(path)


def test_what_is_no_split_says_so(tmp_path):
    with pytest.raises(DamagedArtifact, match=r"none\.zarr: not the arrays of a split"):
        open_split(tmp_path / "none.zarr")


def test_arrays_cross_to_other_processes(split, samples):
    """A data loader that spawns its workers pickles what they read from."""
    array = open_split(split)["label_ids"]
    array[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array))[3], samples["label_ids"][3])
