"""Ingest: wrong files leave nothing behind, or are left out; what was ingested before is taken over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from handmade import SIZE, maps, photographs
from PIL import Image
from pydantic import ValidationError

from segspade_core.config import IngestConfig, MinicityConfig
from segspade_core.config.base import Codec
from segspade_core.datasets.decode import load_sample
from segspade_core.errors import SourceError
from storage.arrays import open_split
from storage.files import files_under
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table
from tasks.drawing import draw, plan_minicity
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


def test_skip_bad_leaves_out_tells_and_records(
    workspace: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault: a dataset that lacks frames, and nobody who hears of it."""
    _break(source)
    ref = make(plan_ingest(workspace, source, CONFIG.model_copy(update={"skip_bad": True})))
    folder = Store(workspace).path(ref)
    left = [row for row in range(COUNT) if row not in (3, 17)]
    arrays = open_split(folder / "train.zarr")
    np.testing.assert_array_equal(arrays["label_ids"][:], maps(2, COUNT)[left])
    assert len(read_table(folder / "left_out.parquet")) == 2
    assert Store(workspace).manifest(ref).metrics == {"files_left_out": 2}
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("left out gtFine/train/")
    assert told.endswith("(and 1 more: see left_out.parquet)")
    assert len(read_table(folder / "train.samples.parquet")) == 16


def test_a_record_of_problems_is_not_believed_again() -> None:
    """Fault: a file whose permissions were mended is refused for ever, as its size and time are the same."""
    problem: dict[str, Any] = {"file": "a.png", "what": "may not be read", "remedy": "chmod"}
    assert Checked.model_validate({"problems": []}).problems == []
    with pytest.raises(ValidationError, match="problems are looked for anew"):
        Checked.model_validate({"problems": [problem]})


def add_frame(source: Path, name: str, seed: int) -> None:
    for path, pixels in (
        (f"leftImg8bit/train/aachen/{name}_leftImg8bit.png", photographs(seed, 1)[0]),
        (f"gtFine/train/aachen/{name}_gtFine_labelIds.png", maps(seed + 1, 1)[0]),
    ):
        Image.fromarray(pixels).save(source / path)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the samples whose files were decoded."""
    ids: list[str] = []

    def load(source: Any, files: Any, config: IngestConfig) -> Any:
        ids.append(files.id)
        return load_sample(source, files, config)

    monkeypatch.setattr("tasks.ingested_shard.load_sample", load)
    return ids


@pytest.mark.parametrize("config", [CONFIG, HALF], ids=["one size", "full-size maps too"])
def test_of_a_source_that_grew_only_what_is_new_is_decoded(
    workspace: Path, source: Path, decoded: list[str], config: IngestConfig
) -> None:
    """Fault: weeks of frames decoded again for a few new ones; old samples in another order; a new frame
    whose name sorts first shifts every shard; rows of the table that do not follow their pixels.
    """
    before = make(plan_ingest(workspace, source, config))
    names = ["aachen_000000_000001", "aachen_000099_000019"]
    for seed, name in enumerate(names):
        add_frame(source, name, seed)
    decoded.clear()
    ref = make(plan_ingest(workspace, source, config, earlier=before))
    assert decoded == names
    folders = [Store(workspace).path(each) for each in (before, ref)]
    old, new = (open_split(folder / "train.zarr") for folder in folders)
    fresh = open_split(Store(workspace).path(make(plan_ingest(workspace, source, config))) / "train.zarr")
    # by name, one new frame comes first; here it follows those that were there
    order = [*range(1, COUNT + 1), 0, COUNT + 1]
    for name in old:
        np.testing.assert_array_equal(new[name][:COUNT], old[name][:])
        np.testing.assert_array_equal(new[name][:], fresh[name][:][order])
    ids = [read_table(folder / "train.samples.parquet")["id"].tolist() for folder in folders]
    assert ids[1] == [*ids[0], *names]
    shards = [folder / "train.zarr/image/c/0/0/0/0" for folder in folders]
    assert shards[0].stat().st_ino == shards[1].stat().st_ino
    assert Store(workspace).verify(ref) == []
    assert Store(workspace).manifest(ref).inputs["earlier"] == str(before)
    if config is HALF:
        larger = [open_split(folder / "train.full_size.zarr")["label_ids"][:] for folder in folders]
        np.testing.assert_array_equal(larger[1][:COUNT], larger[0])
    # nothing changed since: it is the same dataset, by whichever of the two one goes on
    assert plan_ingest(workspace, source, config, earlier=ref).ref == ref
    assert plan_ingest(workspace, source, config, earlier=before).ref == ref


def test_files_that_changed_are_decoded_and_files_that_went_leave_a_gap(
    workspace: Path, source: Path, decoded: list[str]
) -> None:
    """Fault: the pixels of before the change; a sample whose neighbour's pixels it has."""
    before = make(plan_ingest(workspace, source, CONFIG))
    add_frame(source, "aachen_000005_000019", 7)
    for path in source.rglob("aachen_000002_*"):
        path.unlink()
    decoded.clear()
    ref = make(plan_ingest(workspace, source, CONFIG, earlier=before))
    assert decoded == ["aachen_000005_000019"]
    folder = Store(workspace).path(ref)
    expected = photographs(1, COUNT)
    expected[5] = photographs(7, 1)[0]
    left = [row for row in range(COUNT) if row != 2]
    np.testing.assert_array_equal(open_split(folder / "train.zarr")["image"][:], expected[left])
    rows = read_table(folder / "train.samples.parquet")
    assert rows["id"].tolist() == [f"aachen_{row:06}_000019" for row in left]
    assert rows["frame"].tolist() == [19] * 17


@pytest.mark.parametrize(
    "other", [HALF, CONFIG.model_copy(update={"codec": "raw"}), CONFIG.model_copy(update={"skip_bad": True})]
)
def test_a_dataset_made_in_another_way_is_not_gone_on_from(
    workspace: Path, source: Path, other: IngestConfig
) -> None:
    """Fault: pixels of another size or codec in a dataset that says otherwise."""
    before = make(plan_ingest(workspace, source, CONFIG))
    assert plan_ingest(workspace, source, other, earlier=before).inputs.keys() == {"source"}
    Store(workspace).remove(before)
    add_frame(source, "aachen_000099_000019", 7)
    assert plan_ingest(workspace, source, CONFIG, earlier=before).inputs.keys() == {"source"}


def test_a_drawn_city_gives_the_same_bytes_wherever_it_was_drawn(tmp_path: Path) -> None:
    """Fault: times of files within a dataset whose key knows nothing of them."""
    config = MinicityConfig(train=1, val=1, size=(32, 64))
    made = []
    for workspace in (tmp_path / "one", tmp_path / "other"):
        plan = plan_minicity(workspace, config)
        with making(plan) as work:
            city = commit.fn(plan, work, **draw(plan)).ref
        ref = make(plan_ingest(workspace, city, IngestConfig(layout="minicity", size=(32, 64))))
        made.append((ref, Store(workspace).manifest(ref).files))
    assert made[0] == made[1]


def test_every_codec_keeps_every_pixel(workspace: Path, source: Path) -> None:
    """Fault: a codec of the config that does not reach the arrays."""
    sizes = {}
    for codec in get_args(Codec):
        config = CONFIG.model_copy(update={"codec": codec})
        folder = Store(workspace).path(make(plan_ingest(workspace, source, config)))
        arrays = open_split(folder / "train.zarr")
        np.testing.assert_array_equal(arrays["image"][:], photographs(1, COUNT))
        np.testing.assert_array_equal(arrays["label_ids"][:], maps(2, COUNT))
        metadata = json.loads((folder / "train.zarr/label_ids/zarr.json").read_bytes())
        sizes[codec] = [each["name"] for each in metadata["codecs"][0]["configuration"]["codecs"]]
    assert sizes == {"fast": ["bytes", "zstd"], "small": ["bytes", "zstd"], "raw": ["bytes", "crc32c"]}
