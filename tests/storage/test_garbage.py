"""gc deletes what nothing reaches, nothing else, and only what a plan lists."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import staging as staging_module
from storage.aliases import Aliases
from storage.errors import DamagedArtifact, StorageError
from storage.files import put_bytes
from storage.garbage import GcPlan
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.store import Store


def test_what_an_alias_or_a_report_was_made_from_stays(store, make):
    data = make("dataset")
    named = make("segmenter", "named", dataset=data)
    unnamed = make("segmenter", "unnamed", dataset=data)
    reported = make("scores", "reported", segmenter=named)
    report = make("report", scores=reported)
    lonely = make("scores", "lonely", segmenter=named)
    Aliases(store.root).set("segmenter", "production", named.key)
    plan = store.gc_plan()
    assert {item.ref for item in plan.items} == {unnamed, lonely}
    assert plan.bytes == sum(item.bytes for item in plan.items) > 0
    assert set(store.refs()) == {data, named, unnamed, reported, report, lonely}
    assert store.gc(plan) == plan.items
    assert set(store.refs()) == {data, named, reported, report}
    assert store.verify() == []
    assert store.gc_plan().items == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edges=st.lists(st.lists(st.integers(0, 7), max_size=2), min_size=1, max_size=6),
    named=st.sets(st.integers(0, 5), max_size=2),
)
def test_whatever_the_graph_gc_keeps_exactly_what_is_reached(tmp_path_factory, edges, named):
    """Peer: reachability by repeated sweeps over a plain dict."""
    store = Store(tmp_path_factory.mktemp("graph"))
    refs, above = [], {}
    for number, edge in enumerate(edges):
        parents = {f"input{i}": refs[i % number] for i in edge} if number else {}
        inputs = {name: str(ref) for name, ref in parents.items()}
        made_of = {"stage": "test", "revision": 1, "config": {"n": number}, "inputs": inputs}
        ref = ArtifactRef(kind="scores", key=artifact_key(**made_of))
        with store.writer(ref) as staging:
            (staging.path / "a").write_text(str(number))
            staging.commit(**made_of)
        refs.append(ref)
        above[ref] = set(parents.values())
    kept = {refs[i] for i in named if i < len(refs)}
    for ref in kept:
        Aliases(store.root).set("scores", f"n{ref.key[:5]}", ref.key)
    for _ in refs:
        kept |= {parent for ref in kept for parent in above[ref]}
    store.gc(store.gc_plan())
    assert set(store.refs()) == kept


def test_leftovers_of_dead_runs_go_and_those_of_living_ones_stay(store, make, stored):
    dead = ArtifactRef(kind="images", key="1" * 16)
    with store.writer(dead) as staging:
        put_bytes(staging.path / "a.bin", b"123")
    cut = ArtifactRef(kind="images", key="2" * 16)
    stored.write(store.path(cut) / "a.bin", b"12345")
    alive = ArtifactRef(kind="images", key="3" * 16)
    with store.writer(alive) as staging:
        put_bytes(staging.path / "a.bin", b"1")
        plan = store.gc_plan()
        assert sorted((item.path, item.bytes) for item in plan.items) == sorted(
            [(store.staging_path(dead), 3), (store.path(cut), 5)]
        )
        with pytest.raises(StorageError, match=f"{alive} is being made by process"):
            store.gc(plan)
        assert stored.names(store.path(cut)) == ["a.bin"]
    store.gc(plan)
    assert stored.names(store.staging_path(dead)) == stored.names(store.path(cut)) == []
    assert not store.staging_path(dead).exists()
    assert stored.names(store.staging_path(alive)) == ["a.bin"]


@pytest.mark.parametrize("backend", ["local"], indirect=True)
def test_what_a_killed_process_left_beside_an_alias_goes(store):
    litter = store.root / "aliases" / "images" / ".x.json.0123.part"
    litter.parent.mkdir(parents=True)
    litter.write_text("{")
    assert [(item.path, item.bytes) for item in store.gc(store.gc_plan())] == [(litter, 1)]
    assert not litter.exists()


def test_what_got_a_name_or_was_committed_since_the_plan_stays(store, make, stored):
    ref = make("segmenter")
    half = ArtifactRef(
        kind="scores", key=artifact_key("test", 1, {"name": "late", "kind": "scores"}, {"s": str(ref)})
    )
    stored.write(store.path(half) / "content.txt", b"late")
    plan = store.gc_plan()
    assert len(plan.items) == 2
    Aliases(store.root).set("segmenter", "production", ref.key)
    assert make("scores", "late", s=ref) == half
    assert store.gc(plan) == []
    assert set(store.refs()) == {ref, half}


def test_with_a_manifest_that_cannot_be_read_nothing_is_deleted(store, make, stored):
    """It would not be known what it was made from."""
    data = make("dataset")
    make("scores", "unreached")
    report = make("report", dataset=data)
    stored.write(store.path(report) / "manifest.json", b"{}")
    with pytest.raises(DamagedArtifact, match=r"manifest\.json: was changed after it was written"):
        store.gc_plan()


class Clock:
    """A day passes between two artifacts."""

    def __init__(self) -> None:
        self.day = 0

    def now(self, zone: object = None) -> datetime:
        self.day += 1
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=self.day)


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging_module, "datetime", Clock())


@pytest.mark.usefixtures("days")
def test_the_youngest_of_each_kind_and_stage_stay_with_what_they_were_made_from(store, make):
    """Faults: the oldest are spared; those of all kinds counted together; what they were made from goes."""
    old_data, new_data = make("dataset", "old"), make("dataset", "new")
    first = make("segmenter", "first", dataset=old_data)
    second, third = (make("segmenter", name, dataset=new_data) for name in ("second", "third"))
    late = make("scores", "late", segmenter=first)
    going = {keep: {item.ref for item in store.gc_plan(keep_last=keep).items} for keep in range(4)}
    assert going[0] == {old_data, new_data, first, second, third, late}
    assert going[1] == {second}
    assert going[2] == going[3] == set()
    assert [item.ref for item in store.gc(store.gc_plan(keep_last=1))] == [second]
    assert set(store.refs()) == {old_data, new_data, first, third, late}


@pytest.mark.usefixtures("days")
def test_only_what_is_older_goes_and_nothing_that_the_younger_were_made_from(store, make):
    """Faults: younger than asked for; a moment taken for an age; the source of what stays."""
    data, lonely = make("dataset", "1"), make("dataset", "2")
    young = make("segmenter", "3", dataset=data)
    at = {day: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(6)}
    going = {day: {item.ref for item in store.gc_plan(before=at[day]).items} for day in at}
    assert going == {
        0: set(), 1: set(), 2: set(), 3: {lonely}, 4: {data, lonely, young}, 5: {data, lonely, young},
    }  # fmt: skip
    # rules are kept from the list to the deletion
    plan = store.gc_plan(before=at[3])
    wide = GcPlan(store.gc_plan().items, plan.keep_last, plan.before)
    assert [item.ref for item in store.gc(wide)] == [lonely]


@pytest.mark.parametrize("backend", ["local"], indirect=True)
def test_leftovers_go_when_they_were_last_written_to_long_enough_ago(store):
    """Fault: what a run left an hour ago, to be gone on with, goes with what is a month old."""
    now = datetime.now(UTC)
    for name, days in (("1" * 16, 40), ("2" * 16, 1)):
        path = store.staging_path(ArtifactRef(kind="images", key=name)) / "a.bin"
        put_bytes(path, b"123")
        for each in (path, path.parent):
            os.utime(each, ((now - timedelta(days=days)).timestamp(),) * 2)
    # the folder was made long ago, and written to yesterday
    os.utime(store.staging_path(ArtifactRef(kind="images", key="2" * 16)), (0, 0))
    plan = store.gc_plan(before=now - timedelta(days=30))
    assert [item.path.name for item in plan.items] == ["1" * 16]
    assert len(store.gc_plan().items) == 2


@pytest.mark.parametrize("backend", ["local"], indirect=True)
def test_what_a_deletion_that_was_killed_left_goes(store, make):
    """Fault: it lies there for ever, under a name that nobody reads."""
    ref = make("images")
    left = store.path(ref).with_name(f".{ref.key}.0123456789ab.gone")
    store.path(ref).rename(left)
    (item,) = store.gc_plan().items
    assert (item.path, item.ref, item.why) == (left, ref, "its deletion was cut short")
    assert make("images") == ref
    assert [item.path for item in store.gc(store.gc_plan())] == [store.path(ref), left]
    assert not left.exists()
    assert not store.exists(ref)


def test_what_reaches_an_artifact_is_named(store, make):
    data = make("dataset")
    segmenter = make("segmenter", dataset=data)
    scores = make("scores", segmenter=segmenter)
    report = make("report", scores=scores)
    Aliases(store.root).set("segmenter", "production", segmenter.key)
    assert store.reached_by(data) == ["segmenter/production", str(report)]
    assert store.reached_by(scores) == [str(report)]
    assert store.reached_by(report) == []
