"""The drawn city as a whole: exact, repeatable, rich in labels, and no colour lookup."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from segspade_core.config import MinicityConfig
from segspade_core.datasets.minicity import INDEX_FILE, MinicityFrame, draw_frame, write_frame, write_index
from segspade_core.datasets.minicity.naming import sample_of
from segspade_core.datasets.minicity.style import STYLE_BY_NAME
from segspade_core.errors import InputError
from segspade_core.labels import INSTANCE_IDS, by_id, by_name

CONFIG = MinicityConfig(train=24, val=4, size=(128, 256))


@pytest.fixture(scope="module")
def frames() -> list[MinicityFrame]:
    return [draw_frame(CONFIG, "train", index) for index in range(CONFIG.train)]


@pytest.fixture(scope="module")
def city(frames: list[MinicityFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("city")
    for frame in frames[:3]:
        write_frame(frame, "train", folder)
    write_index(CONFIG, folder)
    return folder


def test_a_frame_depends_on_seed_and_index_alone(frames: list[MinicityFrame]) -> None:
    """Fault: a global random generator, or the number of frames, enters a drawing."""
    other = MinicityConfig(train=900, val=7, size=CONFIG.size)
    again = draw_frame(other, "train", 5)
    np.testing.assert_array_equal(again.sample.image, frames[5].sample.image)
    assert again.polygons == frames[5].polygons
    assert again.name == frames[5].name
    changed = draw_frame(MinicityConfig(size=CONFIG.size, seed=1), "train", 5)
    assert (changed.sample.image != frames[5].sample.image).any()
    assert (draw_frame(CONFIG, "val", 5).sample.image != frames[5].sample.image).any()


def test_many_labels_occur(frames: list[MinicityFrame]) -> None:
    """Fault: a kind of object is never placed, or its painter forgets to fill its surface."""
    found = set(np.unique(np.stack([frame.sample.label_ids for frame in frames])).tolist())
    assert len(found) >= 25
    always = ("ego vehicle", "road", "sidewalk", "building", "sky", "vegetation", "car", "person")
    for frame in frames:
        present = set(np.unique(frame.sample.label_ids).tolist())
        missing = {name for name in always[:3] if by_name[name].id not in present}
        assert not missing, frame.name
    assert {by_name[name].id for name in always} <= found


def test_colours_do_not_tell_the_labels(frames: list[MinicityFrame]) -> None:
    """Fault: flat colours without light and texture, so that a lookup would segment the city."""
    images = np.stack([frame.sample.image for frame in frames])[:, ::2, ::2].astype(np.float32)
    labels = np.stack([frame.sample.label_ids for frame in frames])[:, ::2, ::2]
    ids = np.unique(labels[::2])
    means = np.stack([images[::2][labels[::2] == id].mean(axis=0) for id in ids])
    distance = ((images[1::2, :, :, None] - means) ** 2).sum(axis=-1)
    predicted, true = ids[distance.argmin(axis=-1)], labels[1::2]
    ious = [
        ((predicted == id) & (true == id)).sum() / max(1, ((predicted == id) | (true == id)).sum())
        for id in np.unique(true)
    ]
    assert np.mean(ious) < 0.45


def test_instances_belong_to_their_labels(frames: list[MinicityFrame]) -> None:
    """Fault: instance ids are looked up from another drawing than label ids."""
    for frame in frames:
        labels, instances = frame.sample.label_ids, frame.sample.instance_ids
        assert labels is not None
        assert instances is not None
        assert instances.dtype == np.uint16
        countable = np.isin(labels, INSTANCE_IDS)
        np.testing.assert_array_equal(instances[~countable], labels[~countable])
        np.testing.assert_array_equal(instances[countable] // 1000, labels[countable])


def test_polygons_drawn_in_order_give_the_label_map(frames: list[MinicityFrame]) -> None:
    """Fault: outlines in another order, scale or frame than what was drawn; hulls may take a little more."""
    agreement = []
    for frame in frames:
        height, width = frame.polygons["imgHeight"], frame.polygons["imgWidth"]
        assert (height, width) == CONFIG.size
        drawn = Image.new("L", (width, height))
        for thing in frame.polygons["objects"]:
            points = [tuple(point) for point in thing["polygon"]]
            assert all(0 <= u < width and 0 <= v < height for u, v in points)
            ImageDraw.Draw(drawn).polygon(points, fill=by_name[thing["label"]].id)
        agreement.append((np.asarray(drawn) == frame.sample.label_ids).mean())
    assert np.mean(agreement) > 0.93
    assert min(agreement) > 0.8


def test_nights_are_dark_and_lit(frames: list[MinicityFrame]) -> None:
    """Fault: the time of day is recorded but not drawn."""
    by_time: dict[str, list[float]] = {"day": [], "dusk": [], "night": []}
    for frame in frames:
        by_time[frame.name.time_of_day].append(float(frame.sample.image.mean()))
    day, dusk, night = (np.mean(by_time[time]) for time in ("day", "dusk", "night"))
    assert day > dusk + 15 > night + 20
    skies = {"day": [], "dusk": [], "night": []}
    for frame in frames:
        sky = frame.sample.image[frame.sample.label_ids == by_name["sky"].id]
        skies[frame.name.time_of_day].append(sky.mean(axis=0))
    assert max(red for red, _, _ in skies["night"]) < 60
    assert all(red > 1.15 * green for red, green, _ in skies["dusk"])
    assert min(blue for _, _, blue in skies["day"]) > 130
    night_frame = next(frame for frame in frames if frame.name.time_of_day == "night")
    assert (night_frame.sample.image.max(axis=-1) > 230).mean() > 0.001


def test_times_of_day_are_shared_out_within_every_ten_frames() -> None:
    """Fault: a small city may have no night at all."""
    times = [sample_of(CONFIG, "val", index).time_of_day for index in range(20)]
    for ten in (times[:10], times[10:]):
        assert (ten.count("day"), ten.count("dusk"), ten.count("night")) == (6, 2, 2)
    assert len({sample_of(CONFIG, "train", index).city for index in range(100)}) == len(STYLE_BY_NAME)


@pytest.mark.parametrize("size", [(32, 32), (96, 512), (200, 100), (61, 127)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    """Fault: an odd or narrow picture breaks a painter, the light or the noise."""
    for index in range(6):
        sample = draw_frame(MinicityConfig(size=size), "val", index).sample
        assert sample.image.shape == (*size, 3)
        assert sample.label_ids is not None
        assert sample.label_ids.shape == size


def test_an_unknown_split_is_refused() -> None:
    """Fault: a misspelt split draws the train split."""
    with pytest.raises(InputError, match="split 'vall': Minicity has train, val, test; choose one of these"):
        draw_frame(CONFIG, "vall", 0)


def test_files_are_those_of_cityscapes(city: Path, frames: list[MinicityFrame]) -> None:
    """Fault: a name, folder, mode or bit depth other than the official one."""
    name = frames[0].name
    truth = city / "gtFine" / "train" / name.city / f"{name.id}_gtFine"
    photo = city / "leftImg8bit" / "train" / name.city / f"{name.id}_leftImg8bit.png"
    assert name.id == f"{name.city}_{name.sequence:06}_{name.frame:06}"
    expected = {
        photo: ("RGB", frames[0].sample.image),
        Path(f"{truth}_labelIds.png"): ("L", frames[0].sample.label_ids),
        Path(f"{truth}_instanceIds.png"): ("I;16", frames[0].sample.instance_ids),
    }
    for path, (mode, pixels) in expected.items():
        with Image.open(path) as image:
            assert image.mode == mode
            np.testing.assert_array_equal(np.asarray(image), pixels)
    with Image.open(f"{truth}_color.png") as image:
        colours = np.asarray(image.convert("RGB"))
    road = frames[0].sample.label_ids == by_name["road"].id
    assert (colours[road] == by_name["road"].colour).all()
    polygons = json.loads(Path(f"{truth}_polygons.json").read_text())
    assert polygons == frames[0].polygons
    assert {thing["label"] for thing in polygons["objects"]} <= {label.name for label in by_id.values()}
    assert not list(city.rglob("*.part"))


def test_the_index_tells_split_and_time_of_day(city: Path) -> None:
    """Fault: a frame of val overwrites one of train in the index, or the config cannot be read back."""
    index = json.loads((city / INDEX_FILE).read_text())
    assert MinicityConfig.model_validate(index["config"]) == CONFIG
    splits = [entry["split"] for entry in index["frames"].values()]
    assert (splits.count("train"), splits.count("val")) == (CONFIG.train, CONFIG.val)
    for number in range(CONFIG.val):
        name = sample_of(CONFIG, "val", number)
        assert index["frames"][name.id] == {"split": "val", "time_of_day": name.time_of_day}
