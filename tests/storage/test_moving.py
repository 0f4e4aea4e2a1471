"""Copies between workspaces: the same bytes, each once, and never half of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from artifacts import commit

from storage import moving
from storage.arrays import open_split
from storage.errors import DamagedArtifact, MissingArtifact, StorageError
from storage.files import files_under
from storage.keys import artifact_key
from storage.manifest import NAME, FileRecord
from storage.mirror import make_mirror
from storage.moving import Move, check_apart, move, plan_move
from storage.refs import ArtifactRef
from storage.shard_writing import shard_done, write_shard
from storage.split_layout import create_split
from storage.store import Store

ZEROS = {"source": "source/" + "0" * 32}


@pytest.fixture(params=["local to local", "local to s3", "s3 to local", "s3 to s3"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, Store]:
    """From where, and to where."""
    roots = []
    for end, backend in zip(("from", "to"), request.param.split(" to "), strict=True):
        if backend == "s3":
            url = request.getfixturevalue("url")
            make_mirror(tmp_path / end, f"{url}/{end}")
        roots.append(tmp_path / end)
    return Store(roots[0]), Store(roots[1])


def dataset(store: Store, samples: dict[str, Any], size: tuple[int, int] = (8, 12)) -> ArtifactRef:
    """An artifact of two shards of each array."""
    of: dict[str, Any] = {"stage": "ingest", "revision": 1, "config": {}, "inputs": ZEROS}
    ref = ArtifactRef(kind="dataset", key=artifact_key(**of))
    with store.writer(ref) as staging:
        assert staging is not None
        path = staging.path / "train.zarr"
        create_split(path, len(samples["image"]), size, list(samples), {"split": "train"})
        for shard in range(2):
            rows = slice(16 * shard, 16 * shard + 16)
            write_shard(path, shard, {name: array[rows] for name, array in samples.items()})
        staging.commit(**of)
    return ref


def moved(source: Store, target: Store, *refs: ArtifactRef, **how: Any) -> Move:
    plan = plan_move(source, target, refs)
    move(source, target, plan.copied, **how)
    return plan


def whole(store: Store, ref: ArtifactRef) -> dict[str, str]:
    """Path → digest of what is committed, which must be all right."""
    assert store.verify(ref) == []
    return {record.path: record.sha256 for record in store.manifest(ref).files}


def test_a_copy_is_the_artifact_with_all_that_it_was_made_from(
    stores: tuple[Store, Store], samples: dict[str, np.ndarray]
) -> None:
    # an ancestor left behind, an array that cannot be opened, a manifest written anew: all wrong
    source, target = stores
    data = dataset(source, samples)
    segmenter = commit(source, "segmenter", "s", dataset=data)
    scores = commit(source, "scores", "c", segmenter=segmenter, dataset=data)
    commit(source, "report", "of something else")
    told: list[int] = []
    plan = moved(source, target, scores, on_bytes=told.append)
    assert [manifest.ref for manifest in plan.copied] == [data, segmenter, scores]
    assert sum(told) == plan.bytes
    assert target.refs() == [data, segmenter, scores]
    for ref in (data, segmenter, scores):
        assert whole(target, ref) == whole(source, ref)
        assert target.manifest(ref) == source.manifest(ref)
    split = open_split(target.path(data) / "train.zarr")
    for name, array in samples.items():
        np.testing.assert_array_equal(split[name][:], array)
    for area in ("staging", "locks"):
        left = [path for path in files_under(target.root / area) if path.suffix != ".lock"]
        assert left == [], f"{area} is not empty"


def test_what_is_there_is_not_copied_again(
    stores: tuple[Store, Store], samples: dict[str, np.ndarray]
) -> None:
    source, target = stores
    data = dataset(source, samples)
    moved(source, target, data)
    later = commit(source, "segmenter", "s", dataset=data)
    plan = moved(source, target, later)
    assert [manifest.ref for manifest in plan.copied] == [later]
    assert plan.kept == (data,)


def test_one_that_is_there_with_other_contents_is_kept_and_told(
    stores: tuple[Store, Store], samples: dict[str, np.ndarray]
) -> None:
    # trained on another device, a model of the same key has other bytes: neither may be taken for the other
    source, target = stores
    data = dataset(source, samples)
    dataset(target, {name: np.zeros_like(array) for name, array in samples.items()})
    before = whole(target, data)
    plan = moved(source, target, data)
    assert [manifest.ref for manifest in plan.differing] == [data]
    assert plan.copied == ()
    assert whole(target, data) == before != whole(source, data)


def test_one_that_was_made_alike_there_is_no_other(
    stores: tuple[Store, Store], samples: dict[str, np.ndarray]
) -> None:
    """Fault: the order in which a manifest lists files differs from disk to bucket, and is no difference."""
    source, target = stores
    data = dataset(source, samples)
    assert dataset(target, samples) == data
    plan = plan_move(source, target, [data])
    assert (plan.kept, plan.differing) == ((data,), ())


def test_a_copy_that_lacks_a_file_is_not_taken_for_whole(
    stores: tuple[Store, Store], samples: dict[str, np.ndarray]
) -> None:
    """Fault: `there already` is said of what cannot be read; the remedy deletes the whole one."""
    source, target = stores
    data = dataset(source, samples)
    moved(source, target, data)
    path = target.folder(data) / "train.zarr/image/c/0/0/0/0"
    if target.mirror is None:
        path.unlink()
    else:
        target.mirror.bucket.delete([target.mirror.name(path)])
    with pytest.raises(
        DamagedArtifact, match=rf"missing\. .*remove {data} --force --workspace {target.where}`"
    ):
        plan_move(source, target, [data])


def test_an_ancestor_that_was_deleted_is_told_and_the_rest_copied(stores: tuple[Store, Store]) -> None:
    source, target = stores
    data = commit(source, "dataset", "d")
    segmenter = commit(source, "segmenter", "s", dataset=data)
    source.remove(data)
    plan = moved(source, target, segmenter)
    assert plan.lost == (data,)
    assert target.refs() == [segmenter]
    with pytest.raises(MissingArtifact, match=f"{data} is not in"):
        plan_move(source, target, [data])


def test_alone_leaves_behind_what_it_was_made_from(stores: tuple[Store, Store]) -> None:
    source, target = stores
    data = commit(source, "dataset", "d")
    segmenter = commit(source, "segmenter", "s", dataset=data)
    plan = plan_move(source, target, [segmenter], alone=True)
    assert [manifest.ref for manifest in plan.copied] == [segmenter]
    assert plan.lost == ()


class Cut(Exception):
    """A copy that ends in the middle."""


def cut_after(count: int) -> Callable[[int], None]:
    """An `on_bytes` that fails at the file with this number."""
    seen = 0

    def on_bytes(_: int) -> None:
        nonlocal seen
        seen += 1
        if seen >= count:
            raise Cut

    return on_bytes


def test_a_copy_that_was_cut_short_goes_on(
    stores: tuple[Store, Store],
    samples: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # begun anew, a dataset of hours would never arrive over a line that fails now and then
    source, target = stores
    data = dataset(source, samples)
    files = len(source.manifest(data).files)
    monkeypatch.setattr(moving, "_AT_ONCE", 1)
    with pytest.raises(Cut):
        moved(source, target, data, on_bytes=cut_after(files - 2))
    assert target.refs() == []
    assert not target.exists(data)
    read: list[str] = []

    def noted(store: Store, ref: ArtifactRef, record: FileRecord) -> bytes:
        read.append(record.path)
        return read_content(store, ref, record)

    read_content = moving._content
    monkeypatch.setattr(moving, "_content", noted)
    if target.mirror is not None:  # from another machine, which has nothing of it
        target = Store(make_mirror(tmp_path / "another", target.mirror.url))
    moved(source, target, data)
    # the thread may have put one more before it was told to end
    assert 1 <= len(read) <= 2, f"{files} files, {files - 2} of which were there: {read}"
    assert whole(target, data) == whole(source, data)


def test_half_a_copy_is_never_taken_for_half_a_run(
    stores: tuple[Store, Store], samples: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    # a stage that went on from files of another machine would commit files that its run never made
    source, target = stores
    data = dataset(source, samples)
    monkeypatch.setattr(moving, "_AT_ONCE", 1)
    with pytest.raises(Cut):
        moved(source, target, data, on_bytes=cut_after(len(source.manifest(data).files)))
    with target.writer(data) as staging:
        assert staging is not None
        assert staging.staged() == {}
        path = staging.path / "train.zarr"
        assert not shard_done(path, 0)
        assert list(files_under(staging.path)) == []


def test_half_a_run_is_never_taken_for_half_a_copy(
    stores: tuple[Store, Store], samples: dict[str, np.ndarray]
) -> None:
    # a shard of the same size with other bytes would be committed under the other's manifest
    source, target = stores
    data = dataset(source, samples)
    with target.writer(data) as staging:
        assert staging is not None
        path = staging.path / "train.zarr"
        create_split(path, 20, (8, 12), list(samples), {"split": "train"})
        write_shard(path, 0, {name: array[:16] + 1 for name, array in samples.items()})
    moved(source, target, data)
    assert whole(target, data) == whole(source, data)


def test_a_file_that_is_damaged_at_the_source_is_named_and_nothing_committed(
    stores: tuple[Store, Store], samples: dict[str, np.ndarray]
) -> None:
    source, target = stores
    data = dataset(source, samples)
    name = next(record.path for record in source.manifest(data).files if "image/c/1" in record.path)
    path = source.folder(data) / name
    if source.mirror is None:
        path.write_bytes(b"\0" + path.read_bytes()[1:])
    else:
        source.mirror.bucket.put(source.mirror.name(path), b"nonsense")
    with pytest.raises(
        DamagedArtifact, match=f"{name}: altered.*remove {data} --force --workspace {source.where}`"
    ):
        moved(source, target, data)
    assert target.refs() == []
    if source.mirror is None:
        path.unlink()
    else:
        source.mirror.bucket.delete([source.mirror.name(path)])
    with pytest.raises(DamagedArtifact, match=f"{name}: missing"):
        moved(source, target, data)


def test_a_file_that_was_altered_in_staging_is_not_committed(
    tmp_path: Path, samples: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    # what was put days ago, and is of the right size, need not be right
    source, target = Store(tmp_path / "from"), Store(tmp_path / "to")
    data = dataset(source, samples)
    monkeypatch.setattr(moving, "_AT_ONCE", 1)
    with pytest.raises(Cut):
        moved(source, target, data, on_bytes=cut_after(len(source.manifest(data).files)))
    victim = next(path for path in files_under(target.staging_path(data)) if "image/c/0" in str(path))
    victim.write_bytes(bytes(victim.stat().st_size))
    with pytest.raises(StorageError, match=r"image/c/0/0/0/0: was altered while it was being copied"):
        moved(source, target, data)
    assert not target.exists(data)
    moved(source, target, data)
    assert whole(target, data) == whole(source, data)


def test_a_bucket_gets_shards_that_do_not_stay_in_the_mirror(
    url: str, tmp_path: Path, samples: dict[str, np.ndarray]
) -> None:
    # a dataset of 100 GB that is pushed, or pulled, would take 100 GB of this disk more
    laptop, bucket = Store(tmp_path / "laptop"), Store(make_mirror(tmp_path / "mirror", url))
    data = dataset(laptop, samples)
    moved(laptop, bucket, data)
    moved(bucket, Store(tmp_path / "other"), data)
    assert [path for path in files_under(bucket.root) if "/c/" in path.as_posix()] == []


def test_one_workspace_is_not_two(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(StorageError, match="is the very workspace that would be copied from"):
        check_apart(Store(tmp_path / "a"), Store(tmp_path / "b"))
    for one, other in (("a", "b/c"), ("a/c", "b")):
        with pytest.raises(StorageError, match="one workspace must not lie in another"):
            check_apart(Store(tmp_path / one), Store(tmp_path / other))


def test_the_manifest_comes_last(
    stores: tuple[Store, Store], samples: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    # readers would find an artifact whose files are still on their way
    source, target = stores
    data = dataset(source, samples)
    seen: list[bool] = []
    moved(source, target, data, on_bytes=lambda _: seen.append((target.folder(data) / NAME).exists()))
    assert seen
    assert not any(seen)
