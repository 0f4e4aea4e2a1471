"""What the studio takes from a browser, and makes of a file; the page itself is tested in a browser."""

from __future__ import annotations

import contextlib
import io
import zipfile
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segspade_core.config import GeneratorArchitecture, PictureConfig
from segspade_core.errors import InputError
from segspade_core.labels import ids_to_colours
from tasks.studio.label_canvas import decode, encode, palette
from tasks.studio.scene import Studio

IDS = np.repeat(np.repeat(np.array([[7, 8], [23, 26]], np.uint8), 16, 0), 16, 1)


class Models:
    """Sizes as a generator of strides of 16 has them; everything is road, and paintings are black."""

    class generator:
        architecture = GeneratorArchitecture(upsamplings=4)

    style_encoder = None
    pixels = 32 * 32

    def size_of(self, size: tuple[int, int]) -> tuple[int, int]:
        return 32, 32

    def segment(self, photograph: np.ndarray) -> np.ndarray:
        return np.full(photograph.shape[:2], 7, np.uint8)

    def code(self, config: PictureConfig, style_image: Any) -> None:
        return None

    def paint(self, label_ids: np.ndarray, code: Any) -> np.ndarray:
        return np.zeros((*label_ids.shape, 3), np.uint8)


def studio() -> Studio:
    return Studio(cast("Any", Models()), {"segmenter": "shipped", "generator": "shipped"})


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_map_comes_back_as_it_went() -> None:
    value = encode(IDS)
    np.testing.assert_array_equal(decode(value), IDS)
    assert encode(IDS)["stamp"] != value["stamp"]  # else the page would take it for what it has


junk = st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | st.floats(allow_nan=True),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["height", "width", "ids"]), inner)
    ),
    max_leaves=6,
)


@given(junk)
def test_whatever_a_browser_sends_is_a_map_or_refused(value: Any) -> None:
    """Fault: a traceback, or memory for a map of a trillion pixels."""
    with contextlib.suppress(InputError):
        assert decode(value).dtype == np.uint8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": encode(IDS + 40)["ids"]}, "holds an id that is in no table"),
        ({"height": 31}, "there is no map to paint yet"),
        ({"height": 10**9, "width": 10**9}, "no size that can be painted"),
        ({"ids": "%%%"}, "there is no map to paint yet"),
    ],
)
def test_a_map_that_is_none_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode(encode(IDS) | change)


def test_the_palette_has_every_class_but_void_once() -> None:
    ids = [each["id"] for each in palette()]
    assert len(ids) == len(set(ids)) == 31
    assert not {0, 2, 3} & set(ids)
    assert next(each for each in palette() if each["name"] == "car")["colour"] == "#00008e"


@pytest.mark.parametrize("kind", ["ids", "colours"])
def test_maps_are_told_from_photographs_by_what_is_in_them(kind: str) -> None:
    """Fault: a map is segmented as if its colours were a street."""
    content = png(IDS if kind == "ids" else ids_to_colours(IDS))
    scene = studio().open(content, "x.png", None)
    np.testing.assert_array_equal(scene.first, IDS)
    assert scene.photograph is None
    photograph = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    scene = studio().open(png(photograph), "x.png", (16, 32))
    assert (scene.own, scene.first.shape) == ((40, 50), (16, 32))
    assert (scene.first == 7).all()


def test_a_broken_map_is_not_taken_for_a_photograph() -> None:
    smooth = png(np.arange(1024, dtype=np.uint8).reshape(32, 32))
    with pytest.raises(InputError, match=r"aachen_labelIds\.png: has label id"):
        studio().open(smooth, "aachen_labelIds.png", None)
    assert studio().open(smooth, "holiday.png", None).photograph is not None


def _odd(*ids: int) -> np.ndarray:
    return np.repeat(np.array([ids], np.uint8), 16, 0).repeat(16, 1)


@pytest.mark.parametrize(
    ("pixels", "origin"),
    [
        (IDS, "read as a label map"),
        (_odd(7, 40), "read as a photograph, as no label map: it has label id 40, and the table"),
        (_odd(7, 8).astype(np.uint16), "read as a photograph, as no label map: it has 16 bits"),
        (np.arange(1024, dtype=np.uint8).reshape(32, 32), "read as a photograph"),
    ],
)
def test_it_is_told_how_a_file_was_read(pixels: np.ndarray, origin: str) -> None:
    """Fault: a map with one strange id is segmented as a street, and nobody says so."""
    told = studio().open(png(pixels), "x.png", None).origin
    assert told.startswith(origin)
    assert (":" in told) == (":" in origin)


def test_what_was_painted_is_the_scene_from_then_on() -> None:
    """Fault: a second map of the painting before stays beside a new one."""
    work = studio()
    scene = work.open(png(IDS), "x.png", None)
    painted, seconds = work.paint(scene, IDS, PictureConfig(), None)
    assert painted.result is None
    assert seconds >= 0
    done = work.cycle(painted)
    assert done.result is not None
    assert done.result.agreement["accuracy"] == pytest.approx(0.25)
    again, _ = work.paint(done, np.full_like(IDS, 8), PictureConfig(), None)
    assert again.second is None
    assert (again.first == 8).all()
    with pytest.raises(InputError, match="has another size than its scene"):
        work.paint(done, IDS[:16], PictureConfig(), None)


def test_files_are_named_after_the_picture_and_cannot_leave_their_folder() -> None:
    work = studio()
    scene, _ = work.paint(work.open(png(IDS), "../../etc/a b.png", None), IDS, PictureConfig(), None)
    name, content = work.saved(scene)
    assert name == "a-b.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert all(each.startswith("a-b/") for each in archive.namelist())
        assert "a-b/agreement.json" in archive.namelist()
