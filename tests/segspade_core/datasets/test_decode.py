"""Pixels come out as they were stored, shrunk by the rule, whatever kind of file they lie in."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from segspade_core.config import IngestConfig
from segspade_core.datasets.decode import load_sample
from segspade_core.datasets.files import BadFile
from segspade_core.datasets.pixels import decode_label_ids, decode_photograph


def test_a_good_sample(one):
    """Pixels are as drawn, shrunk by the rule; label and instance ids keep their numbers and types."""
    assert one.lines() == []
    loaded = load_sample(*one.files(), one.config)
    sample = loaded.sample
    blocks = one.photo_pixels.reshape(8, 2, 10, 2, 3).astype(int).sum((1, 3))
    np.testing.assert_array_equal(sample.image, (blocks + 2) // 4)
    np.testing.assert_array_equal(sample.label_ids, one.label_pixels[1::2, 1::2])
    np.testing.assert_array_equal(sample.instance_ids, one.instance_pixels[1::2, 1::2])
    assert (sample.image.dtype, sample.label_ids.dtype, sample.instance_ids.dtype) == ("u1", "u1", "u2")
    for name in ("label_ids", "instance_ids"):
        full_size, pixels = loaded.full_size[name], getattr(one, f"{name.split('_')[0]}_pixels")
        np.testing.assert_array_equal(full_size, pixels)
        assert full_size.dtype == getattr(sample, name).dtype
    content = b"".join(map(one.read, (one.photo, one.label, one.instance)))
    assert loaded.sha256 == hashlib.sha256(content).hexdigest()


def test_a_zip_gives_the_same_sample_and_digest(one, city, tmp_path):
    city.pack(tmp_path / "all.zip")
    packed = load_sample(*one.files(tmp_path / "all.zip"), one.config)
    loose = load_sample(*one.files(), one.config)
    assert packed.sha256 == loose.sha256
    for name in ("image", "label_ids", "instance_ids"):
        np.testing.assert_array_equal(getattr(packed.sample, name), getattr(loose.sample, name))


def test_relabelling_changes_the_digest(one, png):
    before = load_sample(*one.files(), one.config).sha256
    one.label_pixels[0, 0] = 255
    one.put(one.label, png.encode(one.label_pixels))
    assert one.lines() == []  # 255 is void, and any instance id may lie there
    assert load_sample(*one.files(), one.config).sha256 != before


def test_photographs_of_any_kind_become_rgb(png):
    """Golden: one pixel of each kind. A transparent colour is only marked, not taken away."""
    palette = png.raw(
        1, 1, 8, 3, [b"\x01"], png.chunk(b"PLTE", b"\0\0\0\x0a\x14\x1e") + png.chunk(b"tRNS", b"\xff\0")
    )
    kinds = {
        "grey": (png.raw(1, 1, 8, 0, [b"\x32"]), [50, 50, 50]),
        "4-bit grey": (png.raw(1, 1, 4, 0, [b"\xf0"]), [255, 255, 255]),
        "1-bit grey": (png.raw(1, 1, 1, 0, [b"\x80"]), [255, 255, 255]),
        "grey, alpha": (png.raw(1, 1, 8, 4, [b"\x32\x00"]), [50, 50, 50]),
        "RGBA": (png.raw(1, 1, 8, 6, [b"\x0a\x14\x1e\x00"]), [10, 20, 30]),
        "palette": (palette, [10, 20, 30]),
        "RGB": (
            png.raw(1, 1, 8, 2, [b"\x0a\x14\x1e"], png.chunk(b"tRNS", b"\0\x0a\0\x14\0\x1e")),
            [10, 20, 30],
        ),
        "JPEG": (png.encode(np.full((8, 8, 3), 50, np.uint8), "JPEG"), [50, 50, 50]),
        "grey JPEG": (png.encode(np.full((8, 8), 50, np.uint8), "JPEG"), [50, 50, 50]),
    }
    for kind, (content, colour) in kinds.items():
        image = decode_photograph(content)
        assert image[0, 0].tolist() == colour, kind
        assert (image.ndim, image.dtype) == (3, np.uint8), kind


def test_16_bit_instances_keep_both_bytes(one, png):
    """A decoder that swaps bytes or takes the high one is what FACTS.md found in one library of three."""
    one.label_pixels[:] = 33
    one.instance_pixels[:] = 33000 + np.arange(320).reshape(16, 20)
    one.put(one.label, png.encode(one.label_pixels))
    rows = [row.astype(">u2").tobytes() for row in one.instance_pixels]
    one.put(one.instance, png.raw(20, 16, 16, 0, rows))
    whole = IngestConfig(layout="cityscapes", size=(16, 20), splits=("train",))
    np.testing.assert_array_equal(load_sample(*one.files(), whole).sample.instance_ids, one.instance_pixels)


def test_interlaced_files_are_read_and_their_rows_counted(png):
    """Golden: the seven passes of 8x8 pixels, and the one of a single pixel."""
    widths = [1] + [1] + [2] + [2] * 2 + [4] * 2 + [4] * 4 + [8] * 4
    rows = [bytes([7] * width) for width in widths]
    assert (decode_label_ids(png.raw(8, 8, 8, 0, rows, interlace=1)) == 7).all()
    assert decode_label_ids(png.raw(1, 1, 8, 0, [b"\x07"], interlace=1)).tolist() == [[7]]
    with pytest.raises(BadFile, match=r"^lacks 9 of the 79 bytes of its pixels\."):
        decode_label_ids(png.raw(8, 8, 8, 0, rows[:-1], interlace=1))


def test_a_last_pixel_of_0_is_no_fault(png):
    assert decode_label_ids(png.encode(np.zeros((3, 5), np.uint8))).tolist() == [[0] * 5] * 3
    assert not decode_photograph(png.encode(np.zeros((3, 5, 3), np.uint8))).any()
