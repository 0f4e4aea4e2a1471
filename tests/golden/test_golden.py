"""Artifacts that an older version committed are opened, verified and read as they were written.

Should one of these fail: mend the reader, not the artifacts. Whoever holds older ones cannot make them anew.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from make_golden import SIZE, arrays, rows, weights
from safetensors.numpy import load_file

from storage.aliases import Aliases
from storage.arrays import open_split
from storage.files import files_under
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table

V1 = Path(__file__).with_name("v1")
DATASET = ArtifactRef(kind="dataset", key="dc4cce16c89a95bf")
SEGMENTER = ArtifactRef(kind="segmenter", key="40d244e64c9a8e84")
LABEL_MAPS = ArtifactRef(kind="label_maps", key="7881f068007d3fdf")


@pytest.fixture
def store() -> Store:
    return Store(V1)


@pytest.mark.parametrize("quick", [False, True])
def test_they_are_found_whole_and_nothing_is_written(store: Store, quick: bool) -> None:
    """Fault: another key, digest or form of the manifest, so that all that was made is lost or 'damaged'."""
    before = {path: path.stat().st_mtime_ns for path in files_under(V1)}
    assert store.refs() == [DATASET, SEGMENTER, LABEL_MAPS]
    assert store.verify(quick=quick) == []
    assert {path: path.stat().st_mtime_ns for path in files_under(V1)} == before


def test_names_and_lineage(store: Store) -> None:
    """Fault: an alias that pointed to a segmenter in use points nowhere."""
    assert store.resolve("segmenter/production") == SEGMENTER
    (entry,) = Aliases(V1).history("segmenter", "production")
    assert (entry["key"], entry["reason"]) == (SEGMENTER.key, "golden")
    assert store.lineage(LABEL_MAPS) == [DATASET, SEGMENTER, LABEL_MAPS]
    manifest = store.manifest(SEGMENTER)
    assert (manifest.stage, manifest.revision, manifest.device) == ("train-segmenter", 1, "cpu")
    assert manifest.config == {"epochs": 1, "lr": 1e-4}
    assert (manifest.counts, manifest.metrics, manifest.seconds) == ({"val": 3}, {"val_miou": 0.25}, 1.5)


@pytest.mark.parametrize(
    ("ref", "names"),
    [(DATASET, ["image", "label_ids", "instance_ids"]), (LABEL_MAPS, ["label_ids", "confidence"])],
)
def test_samples_are_read_as_they_were_written(store: Store, ref: ArtifactRef, names: list[str]) -> None:
    """Fault: a codec, a type or an order of axes that is read in another way; peer: zarr-python."""
    path = store.path(ref) / "val.zarr"
    split, peer = open_split(path), zarr.open_group(path, mode="r")
    assert list(split) == names
    assert split.attributes == {"layout": "cityscapes"}
    for name in names:
        assert split[name].shape[:3] == (3, *SIZE)
        assert split[name].dtype == arrays()[name].dtype
        np.testing.assert_array_equal(split[name][:], arrays()[name])
        np.testing.assert_array_equal(split[name][2], arrays()[name][2])
        np.testing.assert_array_equal(np.asarray(peer[name]), arrays()[name])
    pd.testing.assert_frame_equal(read_table(store.path(ref) / "val.samples.parquet"), rows())


def test_weights_are_read_as_they_were_written(store: Store) -> None:
    """Fault: bytes that a checkout changed."""
    found = load_file(store.path(SEGMENTER) / "model.safetensors")
    assert set(found) == set(weights())
    for name, expected in weights().items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


def test_the_same_made_now_has_the_same_keys(tmp_path: Path) -> None:
    """Fault: a key is worked out in another way, and all that was made is made again."""
    from make_golden import make

    make(tmp_path)
    assert Store(tmp_path).refs() == [DATASET, SEGMENTER, LABEL_MAPS]


def test_a_damaged_one_is_found(store: Store, tmp_path: Path) -> None:
    """Fault: an older form is not checked at all."""
    copy = Store(Path(shutil.copytree(V1, tmp_path / "v1")))
    file = copy.path(LABEL_MAPS) / "val.zarr/confidence/c/0/0/0"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    assert [problem.file for problem in copy.verify()] == ["val.zarr/confidence/c/0/0/0"]
    manifest = copy.path(SEGMENTER) / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text())))
    assert [problem.file for problem in copy.verify(SEGMENTER)] == ["manifest.json"]
