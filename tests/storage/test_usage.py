"""What takes room is told by kind and artifact, and what hard links share is counted once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store
from storage.usage import Use, usage

Make = Callable[..., ArtifactRef]


@pytest.mark.parametrize("backend", ["local"], indirect=True)
def test_what_is_shared_counts_once_in_sums(store: Store, make: Make) -> None:
    """Faults: hard links counted twice; staging forgotten; the sum of a kind that of its artifacts."""
    one, two = make("dataset", "a"), make("dataset", "bb")
    images = make("images", "c")
    put_bytes(store.path(one) / "big.bin", bytes(1000))
    os.link(store.path(one) / "big.bin", store.path(two) / "big.bin")
    half = ArtifactRef(kind="images", key="1" * 16)
    put_bytes(store.staging_path(half) / "a.bin", bytes(70))
    os.link(store.path(images) / "content.txt", store.staging_path(half) / "content.txt")
    manifest = {ref: (store.path(ref) / "manifest.json").stat().st_size for ref in (one, two, images)}
    used = usage(store)
    assert sorted(used.folders, key=str) == sorted(
        [
            Use("dataset", one.key, 1001 + manifest[one], 1000),
            Use("dataset", two.key, 1002 + manifest[two], 1000),
            Use("images", images.key, 1 + manifest[images], 1),
            Use("staging", str(half), 71, 1),
        ],
        key=str,
    )
    assert used.sums == {
        "dataset": 1003 + manifest[one] + manifest[two],
        "images": 1 + manifest[images],
        "staging": 71,
    }
    assert used.bytes == 1000 + 3 + 1 + 70 + sum(manifest.values())
    assert used.shared == 1001
    assert list(used.groups()) == ["dataset", "images", "staging"]
    assert [use.label for use in usage(store, "images").folders] == [images.key]


@pytest.mark.parametrize("backend", ["local"], indirect=True)
def test_it_is_what_du_says(store: Store, make: Make) -> None:
    """Peer: `du` of the system, which knows hard links too."""
    for name in ("a", "bb", "ccc"):
        ref = make("scores", name)
        put_bytes(store.path(ref) / "sub" / name, name.encode() * 999)
    first, second, _ = store.refs()
    os.link(next((store.path(first) / "sub").iterdir()), store.path(second) / "sub" / "link")
    command = (
        f"find {store.root}/artifacts -type f -print0 | du --apparent-size -bc --files0-from=- | tail -1"
    )
    said = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
    assert usage(store).bytes == int(said.split()[0])


def test_what_was_deleted_takes_nothing(store: Store, make: Make) -> None:
    """Fault: a server that lists folders which are empty by now has artifacts that are not there."""
    ref = make()
    store.remove(ref)
    assert usage(store).folders == []


@pytest.mark.parametrize("backend", ["local"], indirect=True)
def test_a_workspace_that_holds_nothing(store: Store) -> None:
    used = usage(store)
    assert (used.folders, used.bytes, used.shared, used.sums) == ([], 0, 0, {})
    with pytest.raises(FileNotFoundError):
        store.root.stat()
