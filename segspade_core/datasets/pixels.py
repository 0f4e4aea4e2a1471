"""Bytes of a file → pixels, or a plain word on why not. No decoder's failure gets past this module."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from segspade_core.datasets import png
from segspade_core.datasets.files import BadFile

# 8192 x 8192, 32 times a Cityscapes frame; below the size from which on Pillow warns
MAX_PIXELS = 1 << 26
_JPEG = b"\xff\xd8\xff"
_AGAIN = "Download or export it again"
_COLOURS = {png.RGB: "an RGB", png.RGBA: "an RGBA", png.PALETTE: "a palette"}


def decode_photograph(content: bytes) -> npt.NDArray[np.uint8]:
    """A PNG or JPEG with 8 bits a channel or fewer.

    Returns:
        (H, W, 3) uint8 in 0..255. Grey is repeated, a palette looked up, alpha dropped.

    Raises:
        BadFile: it is no such file, or not whole.
    """
    if not content.startswith((png.SIGNATURE, _JPEG)):
        raise _no_image(content, "neither a PNG nor a JPEG image")
    header = _check_png(content) if content.startswith(png.SIGNATURE) else None
    if header is not None and header.bits > 8:
        raise BadFile("has 16 bits a channel, where a photograph has 8", "Save it as an 8-bit RGB PNG")
    with _open(content, header) as image:
        # a transparent colour would make Pillow warn or add a channel, and we want what is below it
        image.info.pop("transparency", None)
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def decode_label_ids(content: bytes) -> npt.NDArray[np.uint8]:
    """A label map: a PNG of one 8-bit channel.

    Returns:
        (H, W) uint8, as stored: which ids there may be is for the caller to check.

    Raises:
        BadFile: it is no such file, or not whole; colour maps are told apart.
    """
    return np.asarray(_decode_grey(content, 8, "label"), np.uint8)


def decode_instance_ids(content: bytes) -> npt.NDArray[np.uint16]:
    """An instance map: a PNG of one 16-bit channel.

    Returns:
        (H, W) uint16, as stored.

    Raises:
        BadFile: it is no such file, or not whole.
    """
    return np.asarray(_decode_grey(content, 16, "instance"), np.uint16)


def _decode_grey(content: bytes, bits: int, kind: str) -> npt.NDArray[Any]:
    if content.startswith(_JPEG):
        raise BadFile(f"is a JPEG, which blurs {kind} ids", f"Export the {kind} ids as PNG")
    if not content.startswith(png.SIGNATURE):
        raise _no_image(content, "not a PNG image")
    header = _check_png(content)
    if header.colour_type in _COLOURS:
        raise BadFile(f"is {_COLOURS[header.colour_type]} colour map", f"Convert it to {kind} ids first")
    if header.colour_type == png.GREY_ALPHA:
        raise BadFile(
            "has an alpha channel beside its ids", f"Save it as a grey PNG of {bits} bits, without alpha"
        )
    if header.bits != bits:
        what = (
            f"has {header.bits} bit{'s' if header.bits > 1 else ''} a pixel, where {_a(kind)} map has {bits}"
        )
        raise BadFile(what, f"Save its ids as a grey PNG of {bits} bits")
    with _open(content, header) as image:
        return np.asarray(image)


def _check_png(content: bytes) -> png.Header:
    header = png.read_header(content)
    # before a decoder sees the file: the header alone makes it ask for the memory
    _check_size(header.width, header.height)
    png.check_whole(content)
    return header


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadFile(
            f"would unpack to {height}x{width} pixels, more than the {MAX_PIXELS} allowed (a bomb?)",
            "If it is a real photograph, make it smaller; if not, delete it",
        )


def _open(content: bytes, header: png.Header | None) -> Image.Image:
    """The decoded image. Only formats that we name are tried: Pillow knows some that start programs."""
    try:
        image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        _check_size(*image.size)
        image.load()
        last = image.getpixel((image.width - 1, image.height - 1))
        is_black = not any(last if isinstance(last, tuple) else (last,))
        # rows that are not there are left at 0: only then is it worth unpacking the pixels once more
        if header is not None and (header.interlaced or is_black):
            png.check_rows(content, header)
    except BadFile:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadFile(
            f"would unpack to more than the {MAX_PIXELS} pixels allowed (a bomb?)",
            "If it is a real photograph, make it smaller; if not, delete it",
        ) from error
    except UnidentifiedImageError as error:  # its own words hold an address in memory
        raise BadFile("cannot be decoded (its header makes no sense)", _AGAIN) from error
    except Exception as error:  # decoders raise whatever befalls them: SyntaxError, struct.error, OSError ...
        raise BadFile(f"cannot be decoded ({error})", _AGAIN) from error
    return image


def _no_image(content: bytes, what: str) -> BadFile:
    return BadFile(f"is {what}" if content else "is empty", _AGAIN)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
