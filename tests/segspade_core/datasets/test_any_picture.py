"""Pictures of whatever kind people have: every format, mode and orientation, and what is no picture."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segspade_core.datasets.any_picture import decode_any_label_map, decode_any_photograph
from segspade_core.datasets.files import BadFile
from segspade_core.labels import ids_to_colours

# smooth, so that what loses little loses next to nothing
ROWS, COLUMNS = np.mgrid[0:24, 0:40]
PHOTOGRAPH = np.stack([ROWS * 8, COLUMNS * 5, 128 + 0 * ROWS], axis=-1).astype(np.uint8)
IDS = np.repeat(np.repeat(np.array([[7, 8, 11], [23, 26, 33]], np.uint8), 12, 0), 14, 1)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind", ["PNG", "TIFF", "BMP", "GIF", "PPM", "TGA", "WEBP", "JPEG", "JPEG2000", "AVIF"]
)
def test_every_format_is_read(kind: str) -> None:
    exact = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98}, "AVIF": {"quality": 98}}
    pixels = decode_any_photograph(saved(Image.fromarray(PHOTOGRAPH), kind, **exact.get(kind, {})))
    assert (pixels.shape, pixels.dtype) == ((24, 40, 3), np.uint8)
    # a GIF has 256 colours
    assert np.abs(pixels.astype(int) - PHOTOGRAPH).mean() < (6 if kind == "GIF" else 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_upright_as_exif_tells(kind: str, orientation: int) -> None:
    """Fault: a photograph of a telephone held upright lies on its side, or is turned twice (TIFF)."""
    # what undoes each: the peer is Pillow's own table, applied backwards
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(PHOTOGRAPH)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode_any_photograph(saved(stored, kind, exif=exif, quality=98))
    assert pixels.shape == (24, 40, 3)
    assert np.abs(pixels.astype(int) - PHOTOGRAPH).mean() < 3


def test_modes_become_rgb() -> None:
    """Faults: 16 bits cut off at 255, which is white; CMYK as a negative; alpha as a fourth channel."""
    grey = PHOTOGRAPH[..., 0]
    sixteen = saved(Image.fromarray(grey.astype(np.uint16) << 8 | 0x5A), "PNG")
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(decode_any_photograph(sixteen), expected)
    np.testing.assert_array_equal(decode_any_photograph(saved(Image.fromarray(grey), "PNG")), expected)
    alpha = np.dstack([PHOTOGRAPH, ROWS.astype(np.uint8)])
    np.testing.assert_array_equal(decode_any_photograph(saved(Image.fromarray(alpha), "PNG")), PHOTOGRAPH)
    print_colours = saved(Image.fromarray(PHOTOGRAPH).convert("CMYK"), "JPEG", quality=98)
    assert np.abs(decode_any_photograph(print_colours).astype(int) - PHOTOGRAPH).mean() < 4
    palette = saved(Image.fromarray(IDS).convert("RGB").quantize(8), "PNG")
    assert decode_any_photograph(palette).shape == (24, 42, 3)


def bomb() -> bytes:
    """A PNG that says it has 3,600,000,000 pixels, in some bytes."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


WHOLE = saved(Image.fromarray(PHOTOGRAPH), "JPEG")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"<html>not here</html>", "is in no format of pictures that is known here"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is in no format of pictures"),
        (WHOLE[:-40], "is cut off"),
        (saved(Image.fromarray(PHOTOGRAPH[:1, :1]), "PNG"), "is 1x1 pixels, too small for a photograph"),
        (bomb(), r"more (pixels than any camera takes|than the \d+ allowed) \(a bomb\?\)"),
        (saved(Image.fromarray(PHOTOGRAPH[..., 0].astype(np.float32)), "TIFF"), "has floating-point pixels"),
        (
            saved(Image.fromarray(PHOTOGRAPH[..., 0].astype(np.int32) * 999), "TIFF"),
            "whole numbers of 32 bits",
        ),
    ],
    ids=["empty", "text", "program", "cut", "pixel", "bomb", "float", "int32"],
)
def test_what_is_no_photograph_gets_a_sentence(content: bytes, what: str) -> None:
    with pytest.raises(BadFile, match=what):
        decode_any_photograph(content)


def test_label_maps_of_ids_and_of_colours_are_the_same() -> None:
    """Fault: a map of official colours is refused, or read by the brightness of its colours."""
    colours = ids_to_colours(IDS)
    alpha = np.dstack([colours, np.full(IDS.shape, 255, np.uint8)])
    kinds = {
        "ids": Image.fromarray(IDS),
        "colours": Image.fromarray(colours),
        "alpha": Image.fromarray(alpha),
        # indices that are no ids: only its colours tell
        "palette": Image.fromarray(colours).quantize(6),
    }
    for kind, image in kinds.items():
        np.testing.assert_array_equal(decode_any_label_map(saved(image, "PNG")), IDS, err_msg=kind)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (WHOLE, "is a JPEG, which blurs label ids"),
        (
            saved(Image.fromarray(PHOTOGRAPH), "PNG"),
            r"has \d+ colours that the table of labels lacks, such as \(",
        ),
        (
            saved(Image.fromarray(IDS + 40), "PNG"),
            r"has label id 47, 48, 51 and more, and the table .* 0\.\.33",
        ),
        (saved(Image.fromarray(IDS[:4, :4]), "PNG"), "is 4x4 pixels, too small for a label map"),
        (b"", "is empty"),
    ],
    ids=["jpeg", "photograph", "strange", "small", "empty"],
)
def test_what_is_no_label_map_gets_a_sentence(content: bytes, what: str) -> None:
    with pytest.raises(BadFile, match=what):
        decode_any_label_map(content)
