"""Ingest: everything is checked before anything is written; bad files can be left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import SIZE, maps, photographs
from PIL import Image
from pydantic import ValidationError

from segspade_core.config import IngestConfig
from segspade_core.errors import SourceError
from storage.arrays import open_split
from storage.files import files_under
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table
from tasks.ingesting import Checked, ingest, plan_ingest
from tasks.plan import Plan
from tasks.stage import commit, making

CONFIG = IngestConfig(layout="cityscapes", size=SIZE, splits=("train",))
COUNT = 18
pytestmark = pytest.mark.usefixtures("parts_run_here")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """18 frames in the official layout, at their final size: two shards."""
    folder = tmp_path / "cityscapes"
    for row in range(COUNT):
        name = f"aachen_{row:06}_000019"
        for path, pixels in (
            (f"leftImg8bit/train/aachen/{name}_leftImg8bit.png", photographs(1, COUNT)[row]),
            (f"gtFine/train/aachen/{name}_gtFine_labelIds.png", maps(2, COUNT)[row]),
        ):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / path)
    return folder


def make(plan: Plan) -> ArtifactRef:
    with making(plan) as work:
        return commit.fn(plan, work, **ingest(plan)).ref


def test_samples_come_out_as_they_went_in(workspace: Path, source: Path) -> None:
    ref = make(plan_ingest(workspace, source, CONFIG))
    folder = Store(workspace).path(ref)
    arrays = open_split(folder / "train.zarr")
    np.testing.assert_array_equal(arrays["image"][:], photographs(1, COUNT))
    np.testing.assert_array_equal(arrays["label_ids"][:], maps(2, COUNT))
    rows = read_table(folder / "train.samples.parquet")
    assert rows["id"].tolist() == [f"aachen_{row:06}_000019" for row in range(COUNT)]
    assert Store(workspace).manifest(ref).counts == {"train": COUNT}


HALF = CONFIG.model_copy(update={"size": (SIZE[0] // 2, SIZE[1] // 2)})


def test_true_maps_are_kept_at_their_own_size_too(workspace: Path, source: Path) -> None:
    """Fault: official scores have nothing to be compared with but maps that were shrunk; shards mixed up."""
    store = Store(workspace)
    folder = store.path(make(plan_ingest(workspace, source, HALF)))
    assert open_split(folder / "train.zarr")["label_ids"].shape == (COUNT, *HALF.size)
    np.testing.assert_array_equal(open_split(folder / "train.full_size.zarr")["label_ids"][:], maps(2, COUNT))
    without = HALF.model_copy(update={"full_size_maps": False})
    for config in (CONFIG, without):
        folder = store.path(make(plan_ingest(workspace, source, config)))
        assert not (folder / "train.full_size.zarr").exists()


def test_maps_of_several_sizes_are_not_kept_at_any_of_them(workspace: Path, source: Path) -> None:
    name = "train/aachen/aachen_000003_000019"
    for path in (f"leftImg8bit/{name}_leftImg8bit.png", f"gtFine/{name}_gtFine_labelIds.png"):
        with Image.open(source / path) as picture:
            larger = picture.resize((SIZE[1] * 2, SIZE[0] * 2), Image.Resampling.NEAREST)
        larger.save(source / path)
    folder = Store(workspace).path(make(plan_ingest(workspace, source, HALF)))
    assert not (folder / "train.full_size.zarr").exists()
    np.testing.assert_array_equal(
        open_split(folder / "train.zarr")["label_ids"][:], maps(2, COUNT)[:, 1::2, 1::2]
    )


def _break(source: Path) -> None:
    (source / "leftImg8bit/train/aachen/aachen_000003_000019_leftImg8bit.png").write_bytes(b"no image")
    unknown = np.full(SIZE, 77, np.uint8)
    Image.fromarray(unknown).save(source / "gtFine/train/aachen/aachen_000017_000019_gtFine_labelIds.png")


def test_all_faults_are_told_at_once_and_nothing_is_written(workspace: Path, source: Path) -> None:
    _break(source)
    with pytest.raises(SourceError) as caught:
        make(plan_ingest(workspace, source, CONFIG))
    assert len(caught.value.problems) == 2
    assert "2 problems, nothing was written" in str(caught.value)
    assert "aachen_000003_000019_leftImg8bit.png" in str(caught.value)
    assert "77" in str(caught.value)
    assert [path for path in files_under(workspace) if path.parent.name != "locks"] == []


def test_skip_bad_leaves_out_and_records(workspace: Path, source: Path) -> None:
    _break(source)
    ref = make(plan_ingest(workspace, source, CONFIG.model_copy(update={"skip_bad": True})))
    folder = Store(workspace).path(ref)
    left = [row for row in range(COUNT) if row not in (3, 17)]
    arrays = open_split(folder / "train.zarr")
    np.testing.assert_array_equal(arrays["label_ids"][:], maps(2, COUNT)[left])
    assert len(read_table(folder / "left_out.parquet")) == 2
    assert len(read_table(folder / "train.samples.parquet")) == 16


def test_a_record_of_problems_is_not_believed_again() -> None:
    """Fault: a file whose permissions were mended is refused for ever, as its size and time are the same."""
    problem: dict[str, Any] = {"file": "a.png", "what": "may not be read", "remedy": "chmod"}
    assert Checked.model_validate({"problems": [], "sizes": {}}).problems == []
    with pytest.raises(ValidationError, match="problems are looked for anew"):
        Checked.model_validate({"problems": [problem], "sizes": {}})
