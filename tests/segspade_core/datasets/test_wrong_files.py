"""Every kind of wrong file is one line that says which file, what was wrong and how to mend it."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segspade_core.datasets.decode import check_sample, load_sample
from segspade_core.datasets.files import BadFile, SampleFiles
from segspade_core.datasets.pixels import decode_label_ids, decode_photograph
from segspade_core.errors import SourceError

AGAIN = "Download or export it again"


# each: which file becomes what, and the line it makes. H x W is 16 x 20
def _cases(one, png):
    grey = one.label_pixels
    colours = np.repeat(grey[..., None], 3, -1)
    palette = png.raw(20, 16, 8, 3, [bytes(20)] * 16, png.chunk(b"PLTE", bytes([128, 64, 128])))
    wrong = grey.copy()
    wrong[0, :3], wrong[1, 0] = 77, 34
    many = np.arange(320).clip(max=239).astype(np.uint8).reshape(16, 20)
    moved = one.instance_pixels.copy()
    moved[2, 10:12] = 24000
    photo = one.read(one.photo)
    void = (
        "If they mean void in your data, write 255 instead; if the PNG holds colours, "
        "convert it to label ids first"
    )
    return {
        "empty": (one.photo, b"", f"is empty. {AGAIN}"),
        "html": (one.photo, b"<html>404</html>", f"is neither a PNG nor a JPEG image. {AGAIN}"),
        "text label": (one.label, b"version https://git-lfs", f"is not a PNG image. {AGAIN}"),
        "header only": (one.photo, photo[:20], f"is cut off after 20 bytes. {AGAIN}"),
        "half": (one.photo, photo[:400], f"is cut off after 400 bytes. {AGAIN}"),
        "no end": (one.photo, photo[:-12], f"is cut off after {len(photo) - 12} bytes. {AGAIN}"),
        "no header": (one.photo, photo[:8] + photo[33:], f"is a PNG without a header. {AGAIN}"),
        "jpeg cut off": (
            one.photo,
            png.encode(one.photo_pixels, "JPEG")[:-60],
            r"cannot be decoded \(image file is truncated.*\)\. " + AGAIN,
        ),
        "few rows": (
            one.photo,
            png.raw(20, 16, 8, 2, [bytes([9] * 60)] * 3),
            f"lacks 793 of the 976 bytes of its pixels. {AGAIN}",
        ),
        "half a row": (
            one.label,
            png.raw(20, 16, 8, 0, [bytes([7] * 20)] * 15 + [bytes([7] * 10)]),
            rf"cannot be decoded \(image file is truncated.*\)\. {AGAIN}",
        ),
        "bomb": (
            one.photo,
            png.raw(60000, 60000, 8, 2),
            "would unpack to 60000x60000 pixels, more than the 67108864 allowed (a bomb?). "
            "If it is a real photograph, make it smaller; if not, delete it",
        ),
        "16-bit photograph": (
            one.photo,
            png.raw(20, 16, 16, 2, [bytes(120)] * 16),
            "has 16 bits a channel, where a photograph has 8. Save it as an 8-bit RGB PNG",
        ),
        "colours": (one.label, png.encode(colours), "is an RGB colour map. Convert it to label ids first"),
        "palette": (
            one.label,
            palette,
            "is a palette map, and its colours do not say that its indices are label ids. "
            "Save its ids as a grey PNG of 8 bits",
        ),
        "palette instances": (
            one.instance,
            palette,
            "is a palette colour map. Convert it to instance ids first",
        ),
        "alpha": (
            one.label,
            png.raw(20, 16, 8, 4, [bytes(40)] * 16),
            "has an alpha channel beside its ids. Save it as a grey PNG of 8 bits, without alpha",
        ),
        "16-bit label": (
            one.label,
            png.encode(one.instance_pixels),
            "has 16 bits a pixel, where a label map has 8. Save its ids as a grey PNG of 8 bits",
        ),
        "4-bit label": (
            one.label,
            png.raw(20, 16, 4, 0, [bytes([0x11] * 10)] * 16),
            "has 4 bits a pixel, of which 1 may mean id 1 or, made smaller, id 17. "
            "Save its ids as a grey PNG of 8 bits",
        ),
        "jpeg label": (
            one.label,
            png.encode(grey, "JPEG"),
            "is a JPEG, which blurs label ids. Export the label ids as PNG",
        ),
        "size": (
            one.label,
            png.encode(grey[:, :10]),
            "is 16x10 pixels, its photograph is 16x20 (height x width). "
            "Export the label map at the photograph's size",
        ),
        "unknown ids": (
            one.label,
            png.encode(wrong),
            "label ids 34 (1 of 320 pixels), 77 (3 of 320 pixels) are not in label table 'cityscapes', "
            f"which lists 0..33 and 255. {void}",
        ),
        "many unknown ids": (
            one.label,
            png.encode(many),
            "label ids "
            + ", ".join(f"{id} (1 of 320 pixels)" for id in range(34, 39))
            + f" and 201 more are not in label table 'cityscapes', which lists 0..33 and 255. {void}",
        ),
        "instance size": (
            one.instance,
            png.encode(one.instance_pixels[:6]),
            "is 6x20 pixels, its photograph is 16x20 (height x width). "
            "Export the instance map at the photograph's size",
        ),
        "8-bit instances": (
            one.instance,
            png.encode(grey),
            "has 8 bits a pixel, where an instance map has 16. Save its ids as a grey PNG of 16 bits",
        ),
        "other instances": (
            one.instance,
            png.encode(moved),
            "does not agree with the label map in 2 of 320 pixels: the first is instance id 24000, of label "
            "id 24, where the label map says 26. Export both maps from the same annotation",
        ),
    }


CASES = (
    "empty", "html", "text label", "header only", "half", "no end", "no header", "jpeg cut off", "few rows",
    "bomb", "16-bit photograph", "colours", "palette", "alpha", "16-bit label", "4-bit label", "jpeg label",
    "palette instances", "half a row", "size", "unknown ids", "many unknown ids",
    "instance size", "8-bit instances", "other instances",
)  # fmt: skip


def test_no_case_is_forgotten(one, png):
    assert set(CASES) == set(_cases(one, png))


@pytest.mark.parametrize("name", CASES)
def test_wrong_files(one, png, name):
    """Exact words: users read them. One line a fault, and loading stops with the same line."""
    path, content, text = _cases(one, png)[name]
    one.put(path, content)
    (line,) = one.lines()
    if "cannot be decoded" in text:
        assert re.fullmatch(re.escape(path) + ": " + text, line)
    else:
        assert line == f"{path}: {text}"
    with pytest.raises(SourceError) as error:
        load_sample(*one.files(), one.config)
    assert [str(problem) for problem in error.value.problems] == [line]


def test_every_wrong_file_of_a_sample_is_told(one):
    for path in (one.photo, one.label, one.instance):
        one.put(path, b"")
    assert one.lines() == [f"{path}: is empty. {AGAIN}" for path in (one.photo, one.label, one.instance)]


def test_instances_without_labels_must_still_be_made_of_label_ids(one, png):
    one.instance_pixels[0, :4] = 40002
    one.put(one.instance, png.encode(one.instance_pixels))
    source, files = one.files()
    alone = SampleFiles(**{**vars(files), "label_ids": None})
    assert [str(problem) for problem in check_sample(source, alone, one.config)] == [
        f"{one.instance}: instance id 40002 is of label id 40, not in label table 'cityscapes' (in 4 of 320 "
        "pixels). An object's instance id is its label id * 1000 + its number: export the map anew"
    ]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_altered_or_cut_png_is_told_and_never_raises(png, data):
    """Pillow decodes many of these without a word: it skips the checksums of pixels."""
    rng = np.random.default_rng(0)
    content = bytearray(png.encode(rng.integers(0, 34, (9, 7), dtype=np.uint8)))
    if data.draw(st.booleans(), "cut"):
        content = content[: data.draw(st.integers(0, len(content) - 1), "length")]
    else:
        content[data.draw(st.integers(0, len(content) - 1), "byte")] ^= 1 << data.draw(
            st.integers(0, 7), "bit"
        )
    for decode in (decode_label_ids, decode_photograph):
        with pytest.raises(BadFile):
            decode(bytes(content))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"]))
def test_bytes_that_are_no_image_never_get_past(junk, start):
    for decode in (decode_label_ids, decode_photograph):
        with pytest.raises(BadFile):
            decode(start + junk)


def test_a_bomb_is_refused_before_memory_is_asked_for(png):
    content = png.raw(60000, 60000, 8, 0)
    tracemalloc.start()
    try:
        with pytest.raises(BadFile):
            decode_label_ids(content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
