"""gc deletes what nothing reaches, nothing else, and only what a plan lists."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.aliases import Aliases
from storage.errors import DamagedArtifact, StorageError
from storage.files import put_bytes
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


def test_leftovers_of_dead_runs_go_and_those_of_living_ones_stay(store, make):
    dead = ArtifactRef(kind="images", key="1" * 16)
    with store.writer(dead) as staging:
        put_bytes(staging.path / "a.bin", b"123")
    cut = ArtifactRef(kind="images", key="2" * 16)
    put_bytes(store.path(cut) / "a.bin", b"12345")
    litter = store.root / "aliases" / "images" / ".x.json.0123.part"
    litter.parent.mkdir(parents=True)
    litter.write_text("{")
    alive = ArtifactRef(kind="images", key="3" * 16)
    with store.writer(alive) as staging:
        put_bytes(staging.path / "a.bin", b"1")
        plan = store.gc_plan()
        assert sorted((item.path, item.bytes) for item in plan.items) == sorted(
            [(store.staging_path(dead), 3), (store.path(cut), 5), (litter, 1)]
        )
        with pytest.raises(StorageError, match=f"{alive} is being made by process"):
            store.gc(plan)
        assert store.path(cut).exists()
    store.gc(plan)
    assert not any(path.exists() for path in (store.staging_path(dead), store.path(cut), litter))
    assert store.staging_path(alive).exists()


def test_what_got_a_name_or_was_committed_since_the_plan_stays(store, make):
    ref = make("segmenter")
    half = ArtifactRef(
        kind="scores", key=artifact_key("test", 1, {"name": "late", "kind": "scores"}, {"s": str(ref)})
    )
    put_bytes(store.path(half) / "content.txt", b"late")
    plan = store.gc_plan()
    assert len(plan.items) == 2
    Aliases(store.root).set("segmenter", "production", ref.key)
    assert make("scores", "late", s=ref) == half
    assert store.gc(plan) == []
    assert set(store.refs()) == {ref, half}


def test_with_a_manifest_that_cannot_be_read_nothing_is_deleted(store, make):
    """It would not be known what it was made from."""
    data = make("dataset")
    make("scores", "unreached")
    report = make("report", dataset=data)
    (store.path(report) / "manifest.json").write_text("{}")
    with pytest.raises(DamagedArtifact, match=r"manifest\.json: was changed after it was written"):
        store.gc_plan()
