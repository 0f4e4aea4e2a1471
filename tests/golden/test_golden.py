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

HERE = Path(__file__).parent
DATASET = ArtifactRef(kind="dataset", key="dc4cce16c89a95bf")
SEGMENTER = ArtifactRef(kind="segmenter", key="40d244e64c9a8e84")
LABEL_MAPS = ArtifactRef(kind="label_maps", key="7881f068007d3fdf")


IMAGES = ArtifactRef(kind="images", key="5edd3b47cefe3768")
# what each version committed; keys are the same, as stages, configs and inputs are
COMMITTED = {"v1": [DATASET, SEGMENTER, LABEL_MAPS], "v2": [DATASET, SEGMENTER, LABEL_MAPS, IMAGES]}
NAMES = {
    DATASET: ["image", "label_ids", "instance_ids"],
    LABEL_MAPS: ["label_ids", "confidence"],
    IMAGES: ["image"],
}


@pytest.fixture(params=COMMITTED)
def store(request: pytest.FixtureRequest) -> Store:
    return Store(HERE / request.param)


@pytest.mark.parametrize("quick", [False, True])
def test_they_are_found_whole_and_nothing_is_written(store: Store, quick: bool) -> None:
    """Fault: another key, digest or form of the manifest, so that all that was made is lost or 'damaged'."""
    before = {path: path.stat().st_mtime_ns for path in files_under(store.root)}
    assert store.refs() == COMMITTED[store.root.name]
    assert store.verify(quick=quick) == []
    assert {path: path.stat().st_mtime_ns for path in files_under(store.root)} == before


def test_names_and_lineage(store: Store) -> None:
    """Fault: an alias that pointed to a segmenter in use points nowhere."""
    assert store.resolve("segmenter/production") == SEGMENTER
    (entry,) = Aliases(store.root).history("segmenter", "production")
    assert (entry["key"], entry["reason"]) == (SEGMENTER.key, "golden")
    assert store.lineage(LABEL_MAPS) == [DATASET, SEGMENTER, LABEL_MAPS]
    manifest = store.manifest(SEGMENTER)
    assert (manifest.stage, manifest.revision, manifest.device) == ("train-segmenter", 1, "cpu")
    assert manifest.config == {"epochs": 1, "lr": 1e-4}
    assert (manifest.counts, manifest.metrics, manifest.seconds) == ({"val": 3}, {"val_miou": 0.25}, 1.5)


def test_samples_are_read_as_they_were_written(store: Store) -> None:
    """Fault: a codec, a type or an order of axes that is read in another way; peer: zarr-python."""
    looked = 0
    for ref in store.refs():
        for name in NAMES.get(ref, ()):
            path = store.path(ref) / "val.zarr"
            split, peer = open_split(path), zarr.open_group(path, mode="r")
            assert list(split) == NAMES[ref]
            assert split.attributes == {"layout": "cityscapes"}
            assert split[name].shape[:3] == (3, *SIZE)
            assert split[name].dtype == arrays()[name].dtype
            np.testing.assert_array_equal(split[name][:], arrays()[name])
            np.testing.assert_array_equal(split[name][2], arrays()[name][2])
            np.testing.assert_array_equal(np.asarray(peer[name]), arrays()[name])
            looked += 1
        if ref in NAMES:
            pd.testing.assert_frame_equal(read_table(store.path(ref) / "val.samples.parquet"), rows())
    assert looked == {"v1": 5, "v2": 6}[store.root.name]


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
    assert Store(tmp_path).refs() == COMMITTED["v2"]


def test_a_damaged_one_is_found(store: Store, tmp_path: Path) -> None:
    """Fault: an older form is not checked at all."""
    copy = Store(Path(shutil.copytree(store.root, tmp_path / "copy")))
    file = copy.path(LABEL_MAPS) / "val.zarr/confidence/c/0/0/0"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    assert [problem.file for problem in copy.verify()] == ["val.zarr/confidence/c/0/0/0"]
    manifest = copy.path(SEGMENTER) / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text())))
    assert [problem.file for problem in copy.verify(SEGMENTER)] == ["manifest.json"]
