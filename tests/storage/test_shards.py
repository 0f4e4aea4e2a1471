"""The reader of shards reads what zarr-python reads, and refuses what it does not understand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.arrays import open_split
from storage.errors import DamagedArtifact
from storage.shard_writing import write_shard
from storage.shards import ShardReader
from storage.split_layout import Codec, create_split

NAMES = ("image", "label_ids", "instance_ids", "confidence")
# for a process that imports what this one does
IMPORTING = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
CODECS: tuple[Codec, ...] = get_args(Codec)


def write(path: Path, count: int, size: tuple[int, int], seed: int = 0, codec: Codec = "fast") -> None:
    random = np.random.default_rng(seed)
    create_split(path, count, size, NAMES, {}, codec)
    for shard, start in enumerate(range(0, count, 16)):
        n = min(16, count - start)
        write_shard(path, shard, {
            "image": random.integers(0, 256, (n, *size, 3), np.uint8),
            "label_ids": random.integers(0, 34, (n, *size), np.uint8),
            "instance_ids": random.integers(0, 40_000, (n, *size), np.uint16),
            "confidence": np.full((n, *size), 255, np.uint8),
        })  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 35), st.integers(1, 40), st.integers(1, 40), st.sampled_from(CODECS), st.data())
def test_every_sample_is_the_one_that_zarr_reads(
    tmp_path_factory: pytest.TempPathFactory, count: int, height: int, width: int, codec: Codec, data: Any
) -> None:
    """Fault: a row of another shard; bytes of uint16 the wrong way round; a short last shard read past; a
    crop of rows for columns, or of another sample; a codec that zarr-python cannot read.
    """
    path = tmp_path_factory.mktemp("split") / "train.zarr"
    write(path, count, (height, width), codec=codec)
    peer, ours = zarr.open_group(path, mode="r"), open_split(path)
    start = data.draw(st.integers(0, count))
    stop = data.draw(st.integers(start, count))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    size = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    pixels = (slice(top, top + size[0]), slice(left, left + size[1]))
    for name in NAMES:
        expected = np.asarray(peer[name])
        assert ours[name][start:stop].dtype == expected.dtype
        np.testing.assert_array_equal(ours[name][start:stop], expected[start:stop])
        np.testing.assert_array_equal(ours[name][-1], expected[-1])
        np.testing.assert_array_equal(ours[name].crop(-1, top, left, *size), expected[-1][pixels])


@pytest.mark.parametrize("codec", CODECS)
def test_shards_have_the_bytes_that_zarr_writes(tmp_path: Path, codec: Codec) -> None:
    """Fault: a codec with other settings than the array says, chunks or their index in another order, no
    checksum: other readers of Zarr refuse the file, or two machines make other bytes of the same samples.
    """
    path = tmp_path / "train.zarr"
    write(path, 20, (24, 40), codec=codec)
    peer = tmp_path / "peer.zarr"
    for file in list(path.rglob("zarr.json")):
        (peer / file.relative_to(path)).parent.mkdir(parents=True, exist_ok=True)
        (peer / file.relative_to(path)).write_bytes(file.read_bytes())
    ours, theirs = zarr.open_group(path, mode="r"), zarr.open_group(peer, mode="r+")
    for name in NAMES:
        theirs[name].with_config({"write_empty_chunks": True})[:] = np.asarray(ours[name])
        for shard in ("0", "1"):
            (file,) = (each for each in (path / name / "c" / shard).rglob("0") if each.is_file())
            assert file.read_bytes() == (peer / file.relative_to(path)).read_bytes(), f"{name}, {shard}"


def test_threads_read_at_once(tmp_path: Path) -> None:
    """Fault: a position in a file, or a buffer, that threads share."""
    write(tmp_path / "train.zarr", 40, (32, 48))
    array = open_split(tmp_path / "train.zarr")["image"]
    whole = array[:]
    rows = np.random.default_rng(1).integers(0, 40, 400).tolist()
    with ThreadPoolExecutor(8) as threads:
        for row, sample in zip(rows, threads.map(array.__getitem__, rows), strict=True):
            np.testing.assert_array_equal(sample, whole[row])


@pytest.mark.parametrize("window", [(-1, 0, 4, 4), (0, 45, 4, 4), (0, 0, 33, 4), (0, 0, 4, 0)])
def test_a_crop_that_is_not_within_the_sample_is_refused(
    tmp_path: Path, window: tuple[int, int, int, int]
) -> None:
    """Fault: a crop that is smaller than asked for, or counted from the other side."""
    write(tmp_path / "train.zarr", 2, (32, 48))
    top, left, height, width = window
    says = rf"crop of {height}x{width} at \({top}, {left}\) of a sample of 32x48"
    with pytest.raises(IndexError, match=says):
        open_split(tmp_path / "train.zarr")["image"].crop(0, *window)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_data_loader_read_as_their_parent_does(tmp_path: Path, start: str) -> None:
    """Fault: a worker waits for ever for a lock or a pool of its parent's, or reads from its position."""
    write(tmp_path / "train.zarr", 20, (32, 48))
    command = [sys.executable, str(Path(__file__).with_name("crops.py")), str(tmp_path / "train.zarr"), start]
    done = subprocess.run(command, env=IMPORTING, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == list(range(20))


@pytest.mark.parametrize("codec", CODECS)
def test_no_flipped_bit_is_read_as_a_pixel(tmp_path: Path, codec: Codec) -> None:
    """Fault: a codec without a checksum, which reads a damaged sample as another picture."""
    path = tmp_path / "train.zarr"
    write(path, 3, (16, 24), codec=codec)
    split = open_split(path)
    whole = {name: split[name][:] for name in NAMES}
    random = np.random.default_rng(2)
    for name in NAMES:
        file = next(each for each in sorted((path / name / "c").rglob("*")) if each.is_file())
        content = file.read_bytes()
        for place in random.integers(0, len(content), 60):
            damaged = bytearray(content)
            damaged[place] ^= 1 << random.integers(0, 8)
            file.write_bytes(damaged)
            try:
                read = split[name][:]
            except DamagedArtifact:
                continue
            # an index entry beyond the last sample may be anything
            np.testing.assert_array_equal(read, whole[name])
        file.write_bytes(content)


def test_a_damaged_sample_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    """Fault: one flipped byte loses a shard of samples, or nobody knows which one it was in."""
    path = tmp_path / "train.zarr"
    write(path, 16, (32, 48))
    array = open_split(path)["label_ids"]
    whole = array[:]
    file = path / "label_ids" / "c" / "0" / "0" / "0"
    content = bytearray(file.read_bytes())
    index = np.frombuffer(content[-260:-4], "<u8").reshape(16, 2)
    content[int(index[5].sum()) - 9] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedArtifact, match=r": sample 5 of train\.zarr/label_ids cannot be read: "):
        array[5]
    np.testing.assert_array_equal(array[6:], whole[6:])


@pytest.mark.parametrize(("cut", "says"), [
    (slice(0, 100), "shorter than its index"),
    (slice(300, None), "it ends beyond the end of the file"),
])  # fmt: skip
def test_a_shard_that_was_cut_says_so(tmp_path: Path, cut: slice, says: str) -> None:
    path = tmp_path / "train.zarr"
    write(path, 16, (32, 48))
    array = open_split(path)["image"]
    file = path / "image" / "c" / "0" / "0" / "0" / "0"
    file.write_bytes(file.read_bytes()[cut])
    with pytest.raises(DamagedArtifact, match=rf"sample 15 of train\.zarr/image .*{says} .*c/0/0/0/0"):
        array[15]


def test_a_sample_that_was_never_written_is_not_one_of_zeros(tmp_path: Path) -> None:
    """Fault: Zarr's own reading gives fill values, and says nothing."""
    zarr.create_array(
        tmp_path / "a", shape=(4, 8, 8), dtype="uint8", chunks=(1, 8, 8), shards=(4, 8, 8), fill_value=255,
        compressors=zarr.codecs.ZstdCodec(level=3, checksum=True),
    )[:2] = 7  # fmt: skip
    reader = ShardReader(json.loads((tmp_path / "a" / "zarr.json").read_bytes()))
    file = tmp_path / "a" / "c" / "0" / "0" / "0"
    assert (reader.read(file, range(2)) == 7).all()
    with pytest.raises(ValueError, match="sample 2 of the shard: never written"):
        reader.read(file, range(1, 3))


@pytest.mark.parametrize(("more", "says"), [
    ({"chunks": (2, 8, 8)}, "its chunks are not one sample each"),
    ({"compressors": zarr.codecs.GzipCodec()}, "no way to decode bytes, gzip"),
    ({"shards": None}, "it has no shards"),
])  # fmt: skip
def test_arrays_of_another_form_are_refused(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    form = {"chunks": (1, 8, 8), "shards": (4, 8, 8), "compressors": zarr.codecs.ZstdCodec(), **more}
    zarr.create_array(tmp_path / "a", shape=(4, 8, 8), dtype="uint8", **form)
    with pytest.raises(ValueError, match=says):
        ShardReader(json.loads((tmp_path / "a" / "zarr.json").read_bytes()))
