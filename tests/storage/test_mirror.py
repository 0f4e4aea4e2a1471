"""Two machines and one bucket: what one makes the other reads, resumes and never spoils."""

from __future__ import annotations

import operator
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from artifacts import commit
from buckets import Proxy

from storage import leases
from storage.aliases import Aliases
from storage.arrays import open_split
from storage.errors import DamagedArtifact, MissingArtifact, StorageError
from storage.files import files_under, put_bytes
from storage.keys import artifact_key
from storage.mirror import make_mirror
from storage.refs import ArtifactRef
from storage.shard_writing import shard_done, take_shard, write_shard
from storage.split_layout import create_split, shards
from storage.store import Store
from storage.usage import usage

MADE_OF = {"stage": "ingest", "revision": 1, "config": {}, "inputs": {"source": "source/" + "0" * 32}}
REF = ArtifactRef(kind="dataset", key=artifact_key(**MADE_OF))

# makes a dataset shard by shard, says which it makes, and waits after some of them
MAKER = f"""
import sys, time
from pathlib import Path
import numpy as np
from storage import leases
from storage.shard_writing import shard_done, write_shard
from storage.split_layout import create_split, shards
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store
leases.LEASE_S, leases.RENEW_S = 5.0, 0.5
root, stop_after = Path(sys.argv[1]), int(sys.argv[2])
told = []
with Store(root).writer(ArtifactRef(kind="dataset", key="{REF.key}"), told.append) as staging:
    if staging is None:
        print("found", flush=True)
    else:
        split = staging.path / "train.zarr"
        create_split(split, 60, (8, 12), ("image",), {{}})
        put_bytes(staging.path / "train.samples.parquet", b"rows")
        for shard, start, stop in shards(60):
            if not shard_done(split, shard):
                shape = (stop - start, 8, 12, 3)
                images = np.random.default_rng(shard).integers(0, 256, shape, dtype=np.uint8)
                write_shard(split, shard, {{"image": images}})
                print(shard, flush=True)
                if shard + 1 == stop_after:
                    time.sleep(60)
        staging.commit(**{MADE_OF})
        print("made", told[:1], flush=True)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leases as short as those of the processes that are started."""
    monkeypatch.setattr(leases, "LEASE_S", 5.0)
    monkeypatch.setattr(leases, "RENEW_S", 0.5)


@pytest.fixture
def proxy(s3_address, url, monkeypatch):
    proxy = Proxy(s3_address)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
    yield proxy
    proxy.close()


@pytest.fixture
def here(url, tmp_path):
    return Store(make_mirror(tmp_path / "here", url))


@pytest.fixture
def there(url, tmp_path):
    """The same workspace on another machine."""
    return Store(make_mirror(tmp_path / "there", url))


def images(count: int = 60) -> np.ndarray:
    parts = [
        np.random.default_rng(shard).integers(0, 256, (stop - start, 8, 12, 3), dtype=np.uint8)
        for shard, start, stop in shards(count)
    ]
    return np.concatenate(parts)


def fill(path: Path) -> None:
    create_split(path / "train.zarr", 60, (8, 12), ("image",), {})
    put_bytes(path / "train.samples.parquet", b"rows")
    for shard, start, stop in shards(60):
        write_shard(path / "train.zarr", shard, {"image": images()[start:stop]})


def make_dataset(store: Store) -> None:
    with store.writer(REF) as staging:
        assert staging is not None
        fill(staging.path)
        staging.commit(**MADE_OF)


def start(root: Path, stop_after: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKER, str(root), str(stop_after)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_another_machine_reads_a_sample_by_fetching_one_shard_once(here, url, proxy, tmp_path):
    make_dataset(here)
    there = Store(make_mirror(tmp_path / "there", url))
    proxy.seen.clear()
    arrays = open_split(there.path(REF) / "train.zarr")
    assert proxy.gets("/c/") == []
    for _ in range(2):
        np.testing.assert_array_equal(arrays["image"][20], images()[20])
    (shard,) = proxy.gets("/c/")
    assert shard.endswith("/train.zarr/image/c/1/0/0/0")
    np.testing.assert_array_equal(arrays["image"][:], images())
    # opened anew, as by another process: what was fetched stays
    np.testing.assert_array_equal(open_split(there.path(REF) / "train.zarr")["image"][:], images())
    assert len(proxy.gets("/c/")) == len(set(proxy.gets("/c/"))) == 4
    assert proxy.gets("samples.parquet") == [path for path in proxy.gets() if path.endswith("parquet")][:1]


def test_who_made_it_fetches_nothing_and_zarr_reads_straight_from_the_bucket(here, url, proxy):
    import zarr
    from obstore.store import from_url
    from zarr.storage import ObjectStore

    make_dataset(here)
    proxy.seen.clear()
    np.testing.assert_array_equal(open_split(here.path(REF) / "train.zarr")["image"][:], images())
    assert [path for path in proxy.gets() if not path.endswith("manifest.json")] == []
    bucket = from_url(f"{url}/artifacts/{REF}/train.zarr", client_options={"allow_http": True})
    group = zarr.open_group(ObjectStore(bucket, read_only=True), mode="r")
    np.testing.assert_array_equal(group["image"][:], images())


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_workers_of_a_loader_fetch_each_shard_once_between_them(here, url, proxy, tmp_path, how):
    """Fault: the client does not survive the fork, or every worker fetches every shard."""
    make_dataset(here)
    there = Store(make_mirror(tmp_path / "there", url))
    array = open_split(there.path(REF) / "train.zarr")["image"]  # the parent's client is at work by now
    rows = [5, 20, 40, 59, 6, 21, 41, 58] * 2
    proxy.seen.clear()
    with get_context(how).Pool(2) as pool:
        found = pool.starmap(operator.getitem, [(array, row) for row in rows])
    np.testing.assert_array_equal(found, images()[rows])
    assert len(proxy.gets("/c/")) == 4


def test_a_shard_that_was_altered_in_the_bucket_is_named_and_not_kept(here, there):
    make_dataset(here)
    array = open_split(there.path(REF) / "train.zarr")["image"]
    name = f"artifacts/{REF}/train.zarr/image/c/1/0/0/0"
    bucket = here.mirror.bucket
    whole = bucket.get(name).content
    bucket.put(name, bytes([whole[0] ^ 1]) + whole[1:])
    for _ in range(2):
        with pytest.raises(
            DamagedArtifact,
            match=rf"^{there.where}/{name}: altered\. `segspade artifacts remove {REF} --force "
            rf"--workspace {there.where}` deletes it",
        ):
            array[20]
    bucket.delete([name])
    with pytest.raises(DamagedArtifact, match=rf"^{there.where}/{name}: missing\."):
        array[20]
    bucket.put(name, whole)
    np.testing.assert_array_equal(array[20], images()[20])


def test_a_damaged_copy_says_that_it_is_one(here, there):
    make_dataset(here)
    array = open_split(there.path(REF) / "train.zarr")["image"]
    array[0]
    file = there.folder(REF) / "train.zarr/image/c/0/0/0/0"
    file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(
        DamagedArtifact, match=r"cannot be read: .* is a copy of what is in the bucket: delete it, and"
    ):
        array[0]
    assert there.verify() == []


def test_what_is_deleted_in_the_bucket_is_not_believed_of_the_mirror(here, there):
    """Fault: an artifact that was made again with other bytes is read as it was before."""
    ref = commit(here, name="a")
    assert there.path(ref).joinpath("content.txt").read_text() == "a"
    here.remove(ref)
    assert not there.exists(ref)
    assert there.refs() == []
    with pytest.raises(MissingArtifact, match=rf"^{ref} is not in {there.where}; run the stage"):
        there.manifest(ref)
    assert not there.folder(ref).exists()
    again = commit(here, name="a")
    assert again == ref
    assert there.manifest(ref) == here.manifest(ref)
    assert there.path(ref).joinpath("content.txt").read_text() == "a"


def test_a_killed_writer_is_taken_over_by_another_machine_which_makes_what_is_left(here, there):
    first = start(here.root, stop_after=2)
    assert [first.stdout.readline().strip() for _ in range(2)] == ["0", "1"]
    second = start(there.root)
    time.sleep(1.0)
    killed = time.monotonic()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    said, _ = second.communicate(timeout=60)
    assert time.monotonic() - killed < 30
    assert said.splitlines()[:2] == ["2", "3"]  # the first two were made
    assert f"dataset/{REF.key} is being made by process {first.pid} on " in said.splitlines()[2]
    # and were not even fetched
    assert not (there.folder(REF) / "train.zarr/image/c/0").exists()
    np.testing.assert_array_equal(open_split(there.path(REF) / "train.zarr")["image"][:], images())
    assert there.verify() == []
    assert here.mirror.entries(here.staging_path(REF)) == []


def test_the_same_machine_need_not_wait_for_its_own_dead_lease(here, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_S", 60.0)
    first = start(here.root, stop_after=1)
    first.stdout.readline()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    begun = time.monotonic()
    with here.writer(REF) as staging:
        assert time.monotonic() - begun < 30
        assert shard_done(staging.path / "train.zarr", 0, deep=True)


def test_a_staged_shard_that_was_changed_is_made_again(here, there):
    with here.writer(REF) as staging:
        fill(staging.path)
    name = f"staging/{REF}/train.zarr/image/c/1/0/0/0"
    there.mirror.bucket.put(name, b"other bytes")
    with there.writer(REF) as staging:
        done = [shard_done(staging.path / "train.zarr", shard) for shard in range(4)]
        assert done == [True, False, True, True]
        assert (staging.path / "train.samples.parquet").read_bytes() == b"rows"
        write_shard(staging.path / "train.zarr", 1, {"image": images()[16:32]})
        there.mirror.bucket.put(
            f"staging/{REF}/train.zarr/image/c/2/0/0/0", b"by a writer that lost the lease"
        )
        with pytest.raises(
            StorageError, match=r"c/2/0/0/0 was changed while it was being made; run the same"
        ):
            staging.commit(**MADE_OF)
    assert not there.exists(REF)


def test_a_shard_is_taken_over_from_an_earlier_artifact_within_the_bucket(here, url, proxy, tmp_path):
    """Fault: what an ingest takes over is fetched first, or its marker is not believed on another machine."""
    make_dataset(here)
    there = Store(make_mirror(tmp_path / "there", url))
    later = {**MADE_OF, "config": {"later": True}}
    ref = ArtifactRef(kind="dataset", key=artifact_key(**later))
    records = {record.path: record for record in there.manifest(REF).files}
    earlier = there.path(REF) / "train.zarr"
    with there.writer(ref) as staging:
        create_split(staging.path / "train.zarr", 60, (8, 12), ("image",), {})
        for shard in range(4):
            assert take_shard(staging.path / "train.zarr", earlier, shard, records)
    with here.writer(ref) as staging:
        assert all(shard_done(staging.path / "train.zarr", shard) for shard in range(4))
        staging.commit(**later)
    assert proxy.gets("/c/") == []
    assert here.verify() == []
    np.testing.assert_array_equal(open_split(there.path(ref) / "train.zarr")["image"][:], images())


def test_markers_and_checkpoints_of_the_bucket_win_over_those_of_the_mirror(here, there):
    """Fault: a machine that comes back goes on from what it had, and not from what was made since."""
    with here.writer(REF) as staging:
        put_bytes(staging.path / "checkpoints" / "last.safetensors", b"epoch 1")
        put_bytes(staging.path / "done" / "train-00000", b"")
    with there.writer(REF) as staging:
        assert (staging.path / "checkpoints" / "last.safetensors").read_bytes() == b"epoch 1"
        put_bytes(staging.path / "checkpoints" / "last.safetensors", b"epoch 2")
    there.delete(there.staging_path(REF) / "done")
    with here.writer(REF) as staging:
        assert (staging.path / "checkpoints" / "last.safetensors").read_bytes() == b"epoch 2"
        assert not (staging.path / "done").is_dir() or not list((staging.path / "done").iterdir())


def test_who_lost_the_lease_does_not_commit(here, there):
    """Fault: a process that slept through its lease overwrites what another has committed since."""
    with here.writer(REF) as staging:
        fill(staging.path)
        lease = staging._lock
        lease._over.set()  # as if the process was stopped: nothing is renewed any more
        lease._thread.join()
        make_dataset_after_waiting(there)
        with pytest.raises(StorageError, match=rf"^{REF}: the bucket was away for so long that another"):
            staging.commit(**MADE_OF)
    assert there.verify() == []
    assert here.exists(REF)


def make_dataset_after_waiting(store: Store) -> None:
    told: list[str] = []
    with store.writer(REF, told.append) as staging:
        assert staging is not None
        fill(staging.path)
        staging.commit(**MADE_OF)
    assert told


@pytest.mark.parametrize("between", ["before it commits", "before its manifest"])
def test_a_committer_who_comes_second_uses_what_is_there(here, there, monkeypatch, between):
    monkeypatch.setattr(leases.Lease, "check", lambda _self: None)  # as if both held it
    with here.writer(REF) as staging:
        fill(staging.path)
        here.mirror.bucket.delete([f"locks/dataset-{REF.key}.lock"])
        theirs = []
        if between == "before it commits":
            make_dataset(there)
            theirs.append(there.manifest(REF))
        else:
            copied = staging._mirror.entries

            def entries(folder):
                found = copied(folder)
                if folder == here.folder(REF) and found and not there.exists(REF):
                    make_dataset(there)
                    theirs.append(there.manifest(REF))
                return found

            monkeypatch.setattr(staging._mirror, "entries", entries)
        mine = staging.commit(**MADE_OF, seconds=9.0)
    assert [mine] == theirs == [there.manifest(REF)]
    assert here.verify() == []
    assert not list(files_under(here.staging_path(REF)))


def test_what_takes_room_and_what_is_old_are_told_of_the_bucket(here, there):
    """Fault: of the mirror, which holds but a part, and whose times are those of fetching."""
    ref = commit(here, name="a")
    with here.writer(REF) as staging:
        fill(staging.path)
    used = usage(there)
    assert [(use.group, use.bytes) for use in used.folders] == [
        ("scores", there.bytes_under(there.folder(ref))),
        ("staging", there.bytes_under(there.staging_path(REF))),
    ]
    assert used.bytes == sum(use.bytes for use in used.folders) > 9 * 60 * 12
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert [item.ref for item in there.gc_plan(before=tomorrow).items] == [ref, REF]
    assert there.gc_plan(before=tomorrow - timedelta(days=2)).items == []


def test_an_alias_set_on_two_machines_at_once_keeps_both_entries(here, there):
    keys = [f"{number:016x}" for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        stores = [here, there] * 4
        list(
            pool.map(
                lambda at: Aliases(at[0].root).set("segmenter", "mine", at[1]),
                zip(stores, keys, strict=True),
            )
        )
    entries = Aliases(here.root).history("segmenter", "mine")
    assert sorted(entry["key"] for entry in entries) == keys


RACER = """
import sys
from pathlib import Path
from storage.refs import ArtifactRef
from storage.store import Store
made_of = {"stage": "race", "revision": 1, "config": {}, "inputs": {"source": "source/" + "0" * 32}}
from storage.keys import artifact_key
ref = ArtifactRef(kind="scores", key=artifact_key(**made_of))
with Store(Path(sys.argv[1])).writer(ref) as staging:
    if staging is not None:
        (staging.path / "who.txt").write_text(sys.argv[2])
        staging.commit(**made_of)
    print("found" if staging is None else "made")
"""


def test_of_eight_processes_on_four_machines_one_makes_it(url, tmp_path):
    roots = [make_mirror(tmp_path / str(number), url) for number in range(4)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(roots[number % 4]), str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    said = [racer.communicate(timeout=120)[0].strip() for racer in racers]
    assert sorted(said) == ["found"] * 7 + ["made"]
    (ref,) = Store(roots[0]).refs()
    who = {(Store(root).path(ref) / "who.txt").read_text() for root in roots}
    assert who == {str(said.index("made"))}
    assert Store(roots[1]).verify() == []


def test_a_server_that_fails_every_third_request_changes_nothing(here, proxy):
    proxy.judge = lambda method, _path, number: 500 if number % 3 == 0 else None
    make_dataset(here)
    proxy.judge = lambda *_: None
    assert here.verify() == []
    np.testing.assert_array_equal(open_split(here.path(REF) / "train.zarr")["image"][:], images())


def requests_of_a_commit(store: Store, proxy: Proxy) -> int:
    with store.writer(REF) as staging:
        fill(staging.path)
        proxy.seen.clear()
        staging.commit(**MADE_OF)
        return len(proxy.seen)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_that_dies_at_any_request_of_a_commit_leaves_it_whole_or_absent(
    here, url, proxy, tmp_path, monkeypatch
):
    """And the next writer, on another machine, commits."""
    monkeypatch.setattr(leases, "LEASE_S", 3.0)
    monkeypatch.setattr(leases, "RENEW_S", 2.5)
    count = requests_of_a_commit(here, proxy)
    assert count > 10
    monkeypatch.setattr("storage.mirror.PATIENCE_S", 0.6)  # of those who are opened from here on
    outcomes = []
    for number in range(1, count + 1):
        for verdict in ("die", "drop"):
            proxy.judge = lambda *_: None
            if here.exists(REF):
                here.remove(REF)
            store = Store(make_mirror(tmp_path / f"{number}-{verdict}", url))
            try:
                with store.writer(REF) as staging:
                    fill(staging.path)
                    proxy.seen.clear()
                    # the request itself may be done or not; after it nothing is answered any more
                    proxy.judge = lambda _m, _p, at, number=number, verdict=verdict: (
                        None if at < number else verdict if at == number else "die"
                    )
                    staging.commit(**MADE_OF)
            except StorageError:
                pass
            proxy.judge = lambda *_: None
            outcomes.append(here.exists(REF))
            if outcomes[-1]:
                assert here.verify() == [], (number, verdict)
            # as if it had ended by now
            here.mirror.bucket.delete([f"locks/dataset-{REF.key}.lock"])
            with here.writer(REF) as staging:
                if staging is not None:
                    assert all(shard_done(staging.path / "train.zarr", shard) for shard in range(4))
                    staging.commit(**MADE_OF)
            assert here.verify() == [], (number, verdict)
            np.testing.assert_array_equal(open_split(here.path(REF) / "train.zarr")["image"][:], images())
    assert set(outcomes) == {True, False}


def test_mirrors_cross_to_other_processes_and_survive_the_loss_of_their_folder(here, there):
    make_dataset(here)
    array = pickle.loads(pickle.dumps(open_split(there.path(REF) / "train.zarr")["image"]))
    np.testing.assert_array_equal(array[3], images()[3])
    there.mirror.fetch(REF)
    (there.root / "etags" / f"dataset-{REF.key}").unlink()
    assert there.manifest(REF) == here.manifest(REF)
    assert os.listdir(there.root / "artifacts" / "dataset") == [REF.key]


def test_a_mirror_that_does_not_say_of_what_is_refused(tmp_path):
    (tmp_path / "remote.json").write_text("{}")
    with pytest.raises(StorageError, match=r"remote\.json: does not say what this folder mirrors .* Delete"):
        Store(tmp_path)
