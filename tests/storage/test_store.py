"""Artifacts are committed whole, found again, checked, and traced."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from storage import staging as staging_module
from storage.aliases import Aliases
from storage.errors import DamagedArtifact, MissingArtifact, StorageError
from storage.files import files_under
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.store import Store

MADE_OF = {"stage": "race", "revision": 1, "config": {"n": 1}, "inputs": {"source": "source/" + "0" * 32}}
REF = ArtifactRef(kind="scores", key=artifact_key(**MADE_OF))

RACER = f"""
import sys, time
from pathlib import Path
from storage.refs import ArtifactRef
from storage.store import Store
store, ref = Store(Path(sys.argv[1])), ArtifactRef(kind="scores", key="{REF.key}")
told = []
with store.writer(ref, told.append) as staging:
    if staging is None:
        print("waited" if told else "found", flush=True)
    else:
        print("makes", flush=True)
        time.sleep(float(sys.argv[2]))
        (staging.path / "content.txt").write_text("made")
        staging.commit(**{MADE_OF})
"""

# every part is written with its marker; how often each was begun is told by the lines of a log outside
WORKER = f"""
import sys
from pathlib import Path
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store
root = Path(sys.argv[1])
print("ready", flush=True)
with Store(root).writer(ArtifactRef(kind="scores", key="{REF.key}")) as staging:
    if staging is not None:
        for part in range(12):
            marker = staging.path / "done" / str(part)
            if not marker.exists():
                with open(root / "log", "a") as log:
                    log.write(f"{{part}}\\n")
                put_bytes(staging.path / "parts" / str(part), bytes([part]) * 20_000)
                put_bytes(marker, b"")
        staging.commit(**{MADE_OF})
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_an_artifact_is_there_once_it_is_committed_and_not_before(store, stored):
    with store.writer(REF) as staging:
        (staging.path / "a.txt").write_text("a")
        (staging.path / "done").mkdir()
        (staging.path / "done" / "0").write_text("")
        (staging.path / "checkpoints").mkdir()
        (staging.path / "checkpoints" / "last.safetensors").write_text("")
        (staging.path / ".b.0123.part").write_text("half")
        assert not store.exists(REF)
        assert list(store.refs()) == []
        manifest = staging.commit(
            **MADE_OF, counts={"n": 3}, metrics={"miou": 0.5}, seconds=2.0, device="cpu"
        )
    assert store.refs() == [REF]
    assert store.manifest(REF) == manifest
    assert [(file.path, file.bytes) for file in manifest.files] == [("a.txt", 1)]
    assert stored.names(store.path(REF)) == ["a.txt", "manifest.json"]
    assert stored.names(store.staging_path(REF)) == []
    assert not store.staging_path(REF).exists()
    assert store.verify() == []


def test_the_manifest_says_what_made_it_and_where_nothing_lies(store, make, stored):
    ref = make("scores")
    content = json.loads(stored.read(store.path(ref) / "manifest.json"))
    assert str(store.root) not in json.dumps(content)
    assert store.where not in json.dumps(content)
    assert content["packages"]["python"].split(".")[0] == "3"
    assert {"numpy", "zarr", "torch"} <= set(content["packages"])
    assert (content["seconds"], content["device"], content["counts"]) == (1.25, "cpu", {"n": 1})
    assert content["created"].endswith("+00:00")


def test_nothing_is_written_by_looking(tmp_path):
    store = Store(tmp_path / "none")
    assert (store.refs(), store.verify(), store.gc_plan().items) == ([], [], [])
    assert not store.exists(REF)
    assert not (tmp_path / "none").exists()


def test_a_run_that_failed_is_gone_on_with(store):
    def fail() -> None:
        with store.writer(REF) as staging:
            (staging.path / "part.txt").write_text("kept")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.writer(REF) as staging:
        assert (staging.path / "part.txt").read_text() == "kept"


def test_a_refused_stage_leaves_no_folder_and_one_that_began_keeps_its_files(store):
    """Fault: folders in staging that nobody will ever fill; or work that is lost with them."""
    with store.writer(REF) as staging:
        (staging.path / "done").mkdir()
    assert not store.staging_path(REF).exists()

    def interrupted():
        with store.writer(REF) as staging:
            (staging.path / "empty").mkdir()
            (staging.path / "content.txt").write_text("begun")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        interrupted()
    assert sorted(path.name for path in store.staging_path(REF).iterdir()) == ["content.txt", "empty"]


def test_an_artifact_that_is_there_is_not_made_again(store):
    with store.writer(REF) as staging:
        (staging.path / "a.txt").write_text("a")
        staging.commit(**MADE_OF)
    store.staging_path(REF).mkdir(parents=True)
    with store.writer(REF) as staging:
        assert staging is None
    assert not store.staging_path(REF).exists()


def test_a_commit_of_something_else_or_of_nothing_is_refused(store):
    with store.writer(REF) as staging:
        with pytest.raises(StorageError, match="there is nothing to commit"):
            staging.commit(**MADE_OF)
        (staging.path / "a.txt").write_text("a")
        with pytest.raises(StorageError, match="have the key"):
            staging.commit(**{**MADE_OF, "revision": 2})
    assert not store.exists(REF)


@pytest.mark.parametrize("backend", ["local"], indirect=True)
@pytest.mark.parametrize("fail_at", range(6))
def test_a_commit_cut_short_anywhere_is_taken_up_again_with_its_markers(store, monkeypatch, fail_at):
    """The markers were once thrown away first: a kill before the manifest then cost the whole work."""
    calls = []

    def failing(function):
        def call(*arguments):
            calls.append(function.__name__)
            if len(calls) > fail_at:
                raise KeyboardInterrupt
            return function(*arguments)

        return call

    def fill(path):
        for name in ("a.txt", "b/c.txt", "done/0"):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(name)

    def fill_and_commit():
        with store.writer(REF) as staging:
            fill(staging.path)
            staging.commit(**MADE_OF)

    with monkeypatch.context() as patch:
        for name in ("move_into", "put_bytes", "fsync_dir"):
            patch.setattr(staging_module, name, failing(getattr(staging_module, name)))
        with pytest.raises(KeyboardInterrupt):
            fill_and_commit()
    assert not store.exists(REF)
    with store.writer(REF) as staging:
        there = sorted(path.relative_to(staging.path).as_posix() for path in files_under(staging.path))
        assert there == ["a.txt", "b/c.txt", "done/0"]
        staging.commit(**MADE_OF)
    assert store.verify() == []


def test_of_two_processes_one_makes_and_the_other_waits_and_uses(store):
    racers = [start(RACER, store.root, 0.6) for _ in range(2)]
    said = sorted(racer.communicate(timeout=30)[0].strip() for racer in racers)
    assert said in (["makes", "waited"], ["found", "makes"])
    assert [racer.returncode for racer in racers] == [0, 0]
    assert (store.path(REF) / "content.txt").read_text() == "made"


def test_the_work_of_a_killed_process_is_taken_over_by_one_that_waits(store):
    first = start(RACER, store.root, 60)
    assert first.stdout is not None
    assert first.stdout.readline().strip() == "makes"
    second = start(RACER, store.root, 0)
    time.sleep(0.5)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert second.communicate(timeout=30)[0].strip() == "makes"
    assert store.verify() == []
    assert store.exists(REF)


def test_killed_again_and_again_it_ends_with_no_part_lost_or_made_twice(store):
    store.root.mkdir(exist_ok=True)
    kills = 0
    for wait_s in (0.0, 0.004, 0.008, 0.013, 0.02, 0.03, 20.0):
        worker = start(WORKER, store.root)
        assert worker.stdout is not None
        worker.stdout.readline()
        try:
            worker.wait(wait_s)
        except subprocess.TimeoutExpired:
            worker.send_signal(signal.SIGKILL)
            kills += 1
        worker.communicate()
    assert kills >= 1
    assert store.verify() == []
    assert [file.bytes for file in store.manifest(REF).files] == [20_000] * 12
    made = (store.root / "log").read_text().split()
    # each kill may have cut short one part, which is then begun once more
    assert set(made) == {str(part) for part in range(12)}
    assert len(made) <= 12 + kills


def test_a_workspace_may_be_moved(store, make, tmp_path):
    ref = make("dataset")
    Aliases(store.root).set("dataset", "mine", ref.key)
    moved = Store(shutil.move(store.root, tmp_path / "elsewhere"))
    assert moved.resolve("dataset/mine") == ref
    assert moved.verify() == []


def test_every_flipped_byte_is_found_and_its_file_named(store, make, stored):
    ref = make("scores", name="some content")
    for file in ("content.txt", "manifest.json"):
        path = store.path(ref) / file
        whole = stored.read(path)
        for at in range(0, len(whole), max(1, len(whole) // 60)):
            stored.write(path, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert [(problem.ref, problem.file, problem.what) for problem in store.verify()] == [
                (ref, file, "altered")
            ]
        stored.write(path, whole)
    assert store.verify(ref) == []


def test_missing_short_and_strange_files_are_told(store, make, stored):
    ref = make("scores", name="some content")
    path = store.path(ref) / "content.txt"
    stored.write(path, b"some")
    assert [str(problem) for problem in store.verify(ref)] == [
        f"{ref}/content.txt: altered: 4 bytes, 12 when it was committed"
    ]
    with pytest.raises(
        DamagedArtifact, match=rf"{ref}/content\.txt: altered: 4 bytes.* the next run makes it again"
    ):
        store.check_files(ref)
    stored.delete(path)
    stored.write(path.parent / "other.txt", b"")
    assert [(problem.file, problem.what) for problem in store.verify(ref)] == [
        ("content.txt", "missing"),
        ("other.txt", "not a file of this artifact"),
    ]
    with pytest.raises(DamagedArtifact, match=r"content\.txt: missing"):
        store.check_files(ref)


def test_the_manifest_of_another_artifact_does_not_pass(store, make, stored):
    one, other = make("scores", "a"), make("scores", "b")
    stored.write(store.path(one) / "manifest.json", stored.read(store.path(other) / "manifest.json"))
    assert [problem.file for problem in store.verify(one)] == ["manifest.json"]


def test_a_deleted_artifact_is_made_again_and_only_it(store, make):
    one, other = make("scores", "a"), make("scores", "b")
    store.remove(one)
    assert store.refs() == [other]
    with pytest.raises(MissingArtifact, match=f"{one} is not in"):
        store.manifest(one)
    with pytest.raises(MissingArtifact):
        store.remove(one)
    assert make("scores", "a") == one


def test_lineage_goes_from_the_source_to_the_artifact(store, make):
    data = make("dataset")
    segmenter = make("segmenter", dataset=data)
    maps = make("label_maps", dataset=data, segmenter=segmenter)
    scores = make("scores", truth=data, maps=maps)
    assert store.lineage(scores) == [data, segmenter, maps, scores]
    store.remove(segmenter)
    assert store.lineage(scores) == [data, segmenter, maps, scores]
    assert not store.exists(segmenter)


def test_every_way_to_name_an_artifact(store, make):
    ref = make("segmenter")
    Aliases(store.root).set("segmenter", "production", ref.key)
    for text in (
        str(ref),
        ref.key,
        ref.key[:4],
        f"segmenter/{ref.key[:4]}",
        "segmenter/production",
        "production",
    ):
        assert store.resolve(text) == ref
        assert store.resolve(text, kinds=("generator", "segmenter")) == ref
        with pytest.raises(MissingArtifact):
            store.resolve(text, kinds=("generator",))


def test_a_name_that_fits_nothing_or_several_says_what_comes_near(store, make):
    ref = make("segmenter")
    Aliases(store.root).set("segmenter", "production", ref.key)
    Aliases(store.root).set("generator", "production", "0" * 16)
    with pytest.raises(MissingArtifact, match=rf"may mean generator/0{{16}}, {ref}; write more"):
        store.resolve("production")
    with pytest.raises(
        MissingArtifact, match=r"'segmenter/prodction' is not in .*did you mean segmenter/production"
    ):
        store.resolve("segmenter/prodction")
    with pytest.raises(MissingArtifact, match="is no kind of artifact; the kinds are minicity, dataset"):
        store.resolve("segmentor/production")
    with pytest.raises(MissingArtifact, match="is of kind segmenter; this takes generator"):
        store.resolve(str(ref), kinds=("generator",))
    with pytest.raises(MissingArtifact, match=r"'generator/production' is generator/0+, which was deleted"):
        store.resolve("generator/production")
    with pytest.raises(MissingArtifact):
        store.resolve(ref.key[:3])


def test_reading_needs_nothing_heavy():
    """Commands that only read answer within 1.5 s."""
    code = (
        "import sys, storage.store, storage.aliases;"
        "print({'zarr', 'pandas', 'numpy', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
