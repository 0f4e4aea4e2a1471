"""What docs/reading.md says to type reads our artifacts, without anything of ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_kind import make_every_kind

from storage.arrays import open_split
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table

PAGE = Path(__file__).parent.parent.parent / "docs" / "reading.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, ArtifactRef]]:
    """A folder with a workspace in it, which holds an artifact of every kind."""
    folder = tmp_path_factory.mktemp("reading")
    return folder, make_every_kind(Store(folder / "workspace"))


@pytest.fixture
def read(made: tuple[Path, dict[str, ArtifactRef]], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What every block of the page leaves in its variables; and `folders`, of artifacts by their kind."""
    folder, refs = made
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    for block in BLOCKS:
        for kind, ref in refs.items():
            block = block.replace(f"{kind}/0123456789abcdef", f"{kind}/{ref.key}")
        assert "0123456789abcdef" not in block
        exec(block, found)
    return {**found, "folders": {kind: Store(Path("workspace")).path(ref) for kind, ref in refs.items()}}


def test_every_library_reads_what_was_written(read: dict[str, Any]) -> None:
    """Faults: axes without names or in another order; void read as missing; a table with other rows."""
    assert len(BLOCKS) == 6
    folders = read["folders"]
    ours = open_split(folders["dataset"] / "train.zarr")
    np.testing.assert_array_equal(read["image"][:], ours["image"][:])
    dataset = read["dataset"]
    assert dict(dataset.sizes) == {"sample": 18, "y": 12, "x": 20, "channel": 3}
    assert dataset.image.dims == ("sample", "y", "x", "channel")
    for name in ("image", "label_ids", "instance_ids"):
        assert dataset[name].dtype == ours[name].dtype
        np.testing.assert_array_equal(dataset[name].values, ours[name][:])
    np.testing.assert_array_equal(
        dataset.label_ids.isel(sample=3, y=slice(0, 5)).values, ours["label_ids"][3][:5]
    )
    maps = open_split(folders["label_maps"] / "val.zarr")["label_ids"]
    assert read["label_ids"].chunksize == (1, 12, 20)
    np.testing.assert_array_equal(read["label_ids"].compute(), maps[:])
    expected = read_table(folders["dataset"] / "train.samples.parquet")
    assert read["samples"].equals(expected)
    assert read["weights"]["weight"].shape == (900,)
    assert read["manifest"]["kind"] == "scores"


def test_the_page_names_every_array_and_its_axes() -> None:
    """Fault: an array is added, and nobody outside learns of it."""
    from storage.split_layout import DIMENSIONS, DTYPES

    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| (\w+)", PAGE.read_text(), re.M)
    assert [name for name, _, _ in rows] == list(DTYPES)
    for name, axes, dtype in rows:
        assert tuple(axes.split(", ")) == DIMENSIONS[: len(axes.split(", "))]
        assert dtype == DTYPES[name]
