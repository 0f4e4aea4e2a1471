"""Cityscapes' official layout, and Minicity's, which has an index beside it."""

from __future__ import annotations

import json
import pickle

import pytest

from segspade_core.config import IngestConfig
from segspade_core.datasets.files import SampleFiles
from segspade_core.datasets.index import find_samples
from segspade_core.datasets.source import MINICITY_INDEX, open_source
from segspade_core.errors import InputError


def config(layout="cityscapes", splits=("train",), **settings):
    return IngestConfig(layout=layout, size=(8, 16), splits=splits, **settings)


def find(city, **settings):
    return find_samples(open_source(city.root), config(**settings))


def ids(found):
    return {split: [files.id for files in samples] for split, samples in found.samples.items()}


def lines(found):
    return [str(problem) for problem in found.problems]


def test_a_frame_is_what_its_name_says(city):
    """Golden: columns of every dataset's table."""
    id = city.frame("bad-honnef_000007_001234")
    (files,) = find(city).samples["train"]
    assert files == SampleFiles(
        id="bad-honnef_000007_001234",
        city="bad-honnef",
        sequence="000007",
        frame=1234,
        time_of_day=None,
        image=city.photo_path(id),
        label_ids=city.map_path(id),
        instance_ids=city.map_path(id, kind="instanceIds"),
    )
    assert pickle.loads(pickle.dumps(files)) == files
    assert list(vars(files))[:5] == ["id", "city", "sequence", "frame", "time_of_day"]


def test_splits_are_kept_apart_and_sorted(city):
    for id in ("ulm_000001_000019", "aachen_000002_000019", "ulm_000000_000019"):
        city.frame(id)
    city.frame("lindau_000000_000019", "val")
    city.frame("berlin_000000_000019", "test", maps=())
    found = find(city, splits=("val", "test", "train"))
    assert ids(found) == {
        "val": ["lindau_000000_000019"],
        "test": ["berlin_000000_000019"],
        "train": ["aachen_000002_000019", "ulm_000000_000019", "ulm_000001_000019"],
    }
    assert found.problems == []
    assert found.samples["test"][0].label_ids is None
    assert ids(find(city, splits=("val",))) == {"val": ["lindau_000000_000019"]}


def test_maps_that_we_make_ourselves_are_left_alone(city):
    id = city.frame("ulm_000000_000019", maps=("labelIds",))
    for kind in ("color", "labelTrainIds", "instanceTrainIds"):
        city.put(city.map_path(id, kind=kind), b"not looked at")
    (files,) = find(city).samples["train"]
    assert (files.label_ids, files.instance_ids) == (city.map_path(id), None)


def test_coarse_annotation_adds_train_extra_to_train(city):
    city.frame("ulm_000000_000019", truth="gtCoarse")
    city.frame("augsburg_000000_000019", "train_extra", truth="gtCoarse")
    city.frame("lindau_000000_000019", "val", truth="gtCoarse")
    found = find(city, splits=("train", "val"), annotation="coarse")
    expected = {"train": ["augsburg_000000_000019", "ulm_000000_000019"], "val": ["lindau_000000_000019"]}
    assert ids(found) == expected
    assert found.samples["train"][0].label_ids == city.map_path(
        "augsburg_000000_000019", "train_extra", truth="gtCoarse"
    )
    with pytest.raises(InputError, match="no label maps of split 'train'"):
        find(city)


def test_half_of_train_extra_is_one_line(city):
    """Its 20,000 photographs are an archive of their own, and so are their label maps."""
    city.frame("ulm_000000_000019", truth="gtCoarse")
    for number in range(2):
        city.frame(f"augsburg_{number:06}_000019", "train_extra", truth="gtCoarse", photo=False)
    assert lines(find(city, annotation="coarse")) == [
        "gtCoarse/train_extra: has 2 label maps, and leftImg8bit/train_extra has no photographs. "
        "Put the archive with leftImg8bit/train_extra there, or delete gtCoarse/train_extra"
    ]


def test_photographs_of_train_extra_alone_do_not_take_the_labels_from_train(city):
    city.frame("ulm_000000_000019", truth="gtCoarse")
    city.frame("augsburg_000000_000019", "train_extra", maps=())
    found = find(city, annotation="coarse")
    assert ids(found) == {"train": ["ulm_000000_000019"]}
    assert lines(found) == [
        "leftImg8bit/train_extra: has 1 photographs, and gtCoarse/train_extra has no label maps. "
        "Put the archive with gtCoarse/train_extra there, or delete leftImg8bit/train_extra"
    ]


def test_archives_unpacked_into_folders_of_their_own(city, tmp_path, new_city):
    """What a double click on each zip file makes."""
    city.frame("ulm_000000_000019")
    home = new_city(tmp_path / "home")
    for top in ("leftImg8bit", "gtFine"):
        for file in (city.root / top).rglob("*.png"):
            home.put(f"{top}_trainvaltest/{file.relative_to(city.root)}", file.read_bytes())
    (files,) = find(home).samples["train"]
    assert files.image == "leftImg8bit_trainvaltest/" + city.photo_path(files.id)
    assert files.label_ids == "gtFine_trainvaltest/" + city.map_path(files.id)


def test_every_fault_of_names_and_pairs_is_listed_at_once(city):
    good = city.frame("ulm_000000_000019")
    lonely = city.frame("ulm_000001_000019", maps=())
    orphan = city.frame("ulm_000002_000019", photo=False)
    city.put("leftImg8bit/train/ulm/IMG_1.png", b"")
    city.put("leftImg8bit/train/ulm_000004_000019_leftImg8bit.png", b"")
    city.put("leftImg8bit/train/ulm/bonn_000004_000019_leftImg8bit.png", b"")
    city.put("gtFine/train/ulm/ulm_4_19_gtFine_labelIds.png", b"")
    city.put("elsewhere/" + city.map_path(good), b"")
    twin = city.frame("aachen_000000_000019")
    city.frame(twin, "val")
    found = find(city, splits=("train", "val"))
    assert ids(found) == {"train": [], "val": []}
    naming = "is not named <city>/<city>_<sequence>_<frame>_{}.png, with six digits each. "
    moving = "Rename it, or move it out of the dataset"
    photo, truth = naming.format("leftImg8bit") + moving, naming.format("gtFine_labelIds") + moving
    ours, theirs = city.photo_path(twin), city.photo_path(twin, "val")
    copies = "is one of 2 label maps of the same photograph. Keep one of them"
    assert lines(found) == [
        f"elsewhere/{city.map_path(good)}: {copies}",
        f"{city.map_path(good)}: {copies}",
        f"{city.map_path(orphan, kind='instanceIds')}: is an instance map without a photograph. "
        f"Put {city.photo_path(orphan)} there, or delete it",
        f"{city.map_path(orphan)}: is a label map without a photograph. "
        f"Put {city.photo_path(orphan)} there, or delete it",
        f"gtFine/train/ulm/ulm_4_19_gtFine_labelIds.png: {truth}",
        f"{ours}: has the id {twin}, as {theirs} has. Keep one of them",
        f"leftImg8bit/train/ulm/IMG_1.png: {photo}",
        f"leftImg8bit/train/ulm/bonn_000004_000019_leftImg8bit.png: {photo}",
        f"{city.photo_path(lonely)}: has no label map. Put {city.map_path(lonely)} there, or delete it",
        f"leftImg8bit/train/ulm_000004_000019_leftImg8bit.png: {photo}",
        f"{theirs}: has the id {twin}, as {ours} has. Keep one of them",
    ]


def test_where_some_have_an_instance_map_all_must(city):
    """Else the whole split would lose its instance maps without a word."""
    city.frame("ulm_000000_000019")
    bare = city.frame("ulm_000001_000019", maps=("labelIds",))
    found = find(city)
    assert ids(found) == {"train": ["ulm_000000_000019"]}
    assert lines(found) == [
        f"{city.photo_path(bare)}: has no instance map, and others of its split have one. "
        "Put its instance map there, or delete all instance maps of the split to do without"
    ]


def test_faults_of_a_split_that_was_not_asked_for_are_not_told(city):
    city.frame("ulm_000000_000019")
    city.frame("lindau_000000_000019", "val", maps=())
    assert find(city).problems == []


def test_a_split_with_nothing(city):
    city.frame("ulm_000000_000019")
    with pytest.raises(InputError) as error:
        find(city, splits=("train", "val"))
    assert str(error.value) == (
        f"{city.root}: no photographs of split 'val'. Looked for leftImg8bit/val/<city>/"
        "<city>_<sequence>_<frame>_leftImg8bit.png, and found photographs of train. Put them there, or the "
        "official zip file with them, or leave val out of the splits."
    )


def test_a_split_with_nothing_says_what_could_not_be_used(city):
    """The half download, not the empty split, is what the user must know of."""
    city.put("leftImg8bit_trainvaltest.zip", b"PK half a download")
    with pytest.raises(InputError) as error:
        find(city)
    assert str(error.value).endswith(
        "\nThese could not be used:\n"
        "  leftImg8bit_trainvaltest.zip: is not a whole zip file. Download it again"
    )


class TestMinicity:
    """The index beside the folders."""

    def write_index(self, city, **frames):
        index = {
            "config": {},
            "frames": {id: {"split": s, "time_of_day": t} for id, (s, t) in frames.items()},
        }
        city.put(MINICITY_INDEX, json.dumps(index).encode())

    def test_the_name_is_the_one_that_is_written(self):
        from segspade_core.datasets.minicity import INDEX_FILE

        assert INDEX_FILE == MINICITY_INDEX

    def test_time_of_day_comes_from_the_index(self, city):
        city.frame("elm_000000_000019")
        city.frame("elm_000001_000019")
        self.write_index(city, elm_000000_000019=("train", "night"), elm_000001_000019=("train", "dusk"))
        found = find(city, layout="minicity")
        assert [files.time_of_day for files in found.samples["train"]] == ["night", "dusk"]
        assert found.problems == []

    def test_index_and_folders_must_agree(self, city):
        stray = city.frame("elm_000000_000019")
        moved = city.frame("elm_000001_000019")
        self.write_index(city, **{moved: ("val", "day"), "oak_000005_000019": ("train", "day")})
        found = find(city, layout="minicity")
        anew = "Draw the city anew into an empty folder"
        assert lines(found) == [
            f"{city.photo_path(stray)}: is not in minicity.json as a frame of train. {anew}",
            f"{city.photo_path(moved)}: is not in minicity.json as a frame of train. {anew}",
            f"{city.photo_path('oak_000005_000019')}: is in minicity.json and not in the source. "
            "Draw the city anew",
        ]
        assert ids(found) == {"train": []}

    def test_a_city_without_an_index(self, city):
        city.frame("elm_000000_000019")
        with pytest.raises(InputError) as error:
            find(city, layout="minicity")
        assert str(error.value) == (
            f"{city.root}: 0 files named minicity.json, where a drawn city has one. Draw it with "
            "`segspade minicity`, or use --layout cityscapes for one without time of day."
        )

    @pytest.mark.parametrize("content", [b"{", b"[]", b'{"frames": {"a": {"split": "train"}}}', b"\xff"])
    def test_an_index_that_is_none(self, city, content):
        city.frame("elm_000000_000019")
        city.put(MINICITY_INDEX, content)
        with pytest.raises(InputError, match=r"minicity\.json is not an index of a drawn city \(.*\)\. Draw"):
            find(city, layout="minicity")
