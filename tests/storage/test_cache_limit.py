"""A mirror that may not grow: it keeps what fits, and nobody notices but by the time it takes."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from artifacts import commit

from storage.arrays import SplitArrays, open_split
from storage.cache_limit import VARIABLE, limit_bytes
from storage.errors import StorageError
from storage.files import files_under
from storage.keys import artifact_key
from storage.mirror import Mirror, make_mirror
from storage.places import workspace_path
from storage.refs import ArtifactRef
from storage.shard_writing import take_shard, write_shard
from storage.split_layout import create_split, shards
from storage.store import Store

COUNT, SIZE = 96, (16, 24)
MADE_OF = {"stage": "ingest", "revision": 1, "config": {}, "inputs": {"source": "source/" + "0" * 32}}
REF = ArtifactRef(kind="dataset", key=artifact_key(**MADE_OF))  # type: ignore[arg-type]
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, *SIZE, 3), dtype=np.uint8)


@pytest.fixture
def mirror(url: str, tmp_path: Path) -> Store:
    """A mirror that has nothing yet of the bucket's dataset, of six shards."""
    with Store(make_mirror(tmp_path / "maker", url)).writer(REF) as staging:
        assert staging is not None
        split = staging.path / "train.zarr"
        create_split(split, COUNT, SIZE, ("image",), {}, "raw")
        for shard, start, stop in shards(COUNT):
            write_shard(split, shard, {"image": IMAGES[start:stop]})
        staging.commit(**MADE_OF)  # type: ignore[arg-type]
    return Store(make_mirror(tmp_path / "mirror", url))


def split_of(mirror: Store) -> SplitArrays:
    return open_split(mirror.path(REF) / "train.zarr")


def held(mirror: Store) -> dict[str, int]:
    """Shard → bytes."""
    found = [path for path in files_under(mirror.root / "artifacts") if "/c/" in path.as_posix()]
    return {path.parts[-4]: path.stat().st_size for path in found}


def test_the_shards_fetched_first_go_first(mirror: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults: the disk fills up all the same; the shard goes that is just read; weights and tables go too."""
    other = commit(mirror, "segmenter")
    monkeypatch.setenv(VARIABLE, str(3 * IMAGES[:17].nbytes))
    split = split_of(mirror)
    for _, start, stop in shards(COUNT):
        np.testing.assert_array_equal(split["image"][start:stop], IMAGES[start:stop])
    assert sorted(held(mirror)) == ["3", "4", "5"]
    np.testing.assert_array_equal(split["image"][0], IMAGES[0])
    assert sorted(held(mirror)) == ["0", "4", "5"]
    assert (mirror.folder(other) / "content.txt").exists()
    assert mirror.verify() == []


def test_without_a_limit_all_is_kept(mirror: Store) -> None:
    assert len(split_of(mirror)["image"][:]) == COUNT
    assert len(held(mirror)) == 6


def test_a_limit_below_one_shard_still_reads(mirror: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: what was fetched goes before it is read, without end."""
    monkeypatch.setenv(VARIABLE, "1B")
    np.testing.assert_array_equal(split_of(mirror)["image"][:], IMAGES)
    assert len(held(mirror)) == 1


def test_many_that_read_and_make_room_at_once(mirror: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a shard that another deletes between its fetching and its reading is told as damaged."""
    monkeypatch.setenv(VARIABLE, str(2 * IMAGES[:17].nbytes))
    split = split_of(mirror)
    rows = np.random.default_rng(1).permutation(np.tile(np.arange(COUNT), 3)).tolist()
    with ThreadPoolExecutor(4) as pool:
        for row, image in zip(rows, pool.map(split["image"].__getitem__, rows), strict=True):
            np.testing.assert_array_equal(image, IMAGES[row])


def test_a_shard_that_goes_before_it_is_read_is_fetched_again(
    mirror: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: as above, where it can be seen every time."""
    fetch, times = Mirror.fetch_shard, 0

    def taken_away(self: Mirror, file: Path) -> bool:
        nonlocal times
        found, times = fetch(self, file), times + 1
        if times < 3:
            file.unlink()
        return found

    monkeypatch.setattr(Mirror, "fetch_shard", taken_away)
    np.testing.assert_array_equal(split_of(mirror)["image"][0], IMAGES[0])
    assert times == 3


def test_what_another_writes_just_now_is_left_alone(mirror: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a shard's beginnings are deleted under the hands of who writes it; or those of the dead stay."""
    monkeypatch.setenv(VARIABLE, "1B")
    image = split_of(mirror)["image"]
    image[0]
    folder = next((mirror.path(REF) / "train.zarr" / "image").rglob("c/0/0/0/0")).parent
    written, abandoned = folder / ".0.0123456789ab.part", folder / ".0.ba9876543210.part"
    for path in (written, abandoned):
        path.write_bytes(b"half a shard")
    os.utime(written, (time.time() - 600,) * 2)
    os.utime(abandoned, (time.time() - 2 * 3600,) * 2)
    np.testing.assert_array_equal(image[COUNT - 1], IMAGES[COUNT - 1])
    assert (written.exists(), abandoned.exists()) == (True, False)


def test_a_shard_that_went_is_taken_over_all_the_same(mirror: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a dataset that grows cannot take a shard from an earlier one which is in the bucket alone."""
    monkeypatch.setenv(VARIABLE, "1B")
    split_of(mirror)["image"][:]
    made_of = MADE_OF | {"config": {"later": True}}
    later = ArtifactRef(kind="dataset", key=artifact_key(**made_of))  # type: ignore[arg-type]
    records = {record.path: record for record in mirror.manifest(REF).files}
    with mirror.writer(later) as staging:
        assert staging is not None
        split = staging.path / "train.zarr"
        create_split(split, COUNT, SIZE, ("image",), {}, "raw")
        for shard, _, _ in shards(COUNT):
            assert take_shard(split, mirror.path(REF) / "train.zarr", shard, records)
        staging.commit(**made_of)  # type: ignore[arg-type]
    np.testing.assert_array_equal(open_split(mirror.path(later) / "train.zarr")["image"][:], IMAGES)


@pytest.mark.parametrize(
    ("text", "size"),
    [("200GB", 200 * 10**9), ("1.5 tb", 15 * 10**11), ("7", 7), ("3m", 3 * 10**6), ("", None)],
)
def test_sizes(monkeypatch: pytest.MonkeyPatch, text: str, size: int | None) -> None:
    monkeypatch.setenv(VARIABLE, text)
    assert limit_bytes() == size


@pytest.mark.parametrize("text", ["much", "-1", "10 GiBs", "GB", "nan"])
def test_no_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """Fault: it is told hours later, when the first shard is fetched."""
    monkeypatch.setenv(VARIABLE, text)
    monkeypatch.setenv("SEGSPADE_CACHE", str(tmp_path))
    with pytest.raises(StorageError, match=f"{VARIABLE}={text}: no size; give one such as 200GB"):
        workspace_path("s3://bucket/team")
