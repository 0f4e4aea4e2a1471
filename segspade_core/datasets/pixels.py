"""Bytes of a file → pixels, or a plain word on why not. No decoder's failure gets past this module.

Pixels are taken as they are stored: gamma, colour profiles and transparency are left aside, whatever a viewer
would make of them. A photograph that EXIF says is to be turned is turned, as cameras and annotators show it.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import JpegImagePlugin, PngImagePlugin
from PIL.Image import Image

from segspade_core.datasets import jpeg, png
from segspade_core.datasets.files import BadFile
from segspade_core.datasets.odd_maps import ids_of_few_bits, ids_of_palette
from segspade_core.datasets.orientation import UPRIGHT, read_orientation, turn
from segspade_core.datasets.plain_png import decode_plain

# 8192 x 8192, 32 times a Cityscapes frame; below the size from which on Pillow warns
MAX_PIXELS = 1 << 26
_AGAIN = "Download or export it again"
_COLOURS = {png.RGB: "an RGB", png.RGBA: "an RGBA", png.PALETTE: "a palette"}


def decode_photograph(content: bytes) -> npt.NDArray[np.uint8]:
    """A PNG or JPEG with 8 bits a channel or fewer, told apart by its bytes and not by its name.

    Returns:
        (H, W, 3) uint8 in 0..255, upright. Grey is repeated, a palette looked up, alpha dropped.

    Raises:
        BadFile: it is no such file, or not whole.
    """
    if content.startswith(png.SIGNATURE):
        return _photograph_of_png(content)
    if content.startswith(jpeg.SIGNATURE):
        return _photograph_of_jpeg(content)
    raise _no_image(content, "neither a PNG nor a JPEG image")


def _photograph_of_png(content: bytes) -> npt.NDArray[np.uint8]:
    header, pixels = _open_png(content)
    if header.bits > 8:
        raise BadFile("has 16 bits a channel, where a photograph has 8", "Save it as an 8-bit RGB PNG")
    exif = png.read_chunk(content, b"eXIf") if b"eXIf" in content else None
    orientation = UPRIGHT if exif is None else read_orientation(exif)
    plain = decode_plain(pixels, header) if header.colour_type == png.RGB else None
    return _upright(_rgb(_decode(pixels, header)) if plain is None else plain, orientation)


def _photograph_of_jpeg(content: bytes) -> npt.NDArray[np.uint8]:
    header = jpeg.read_header(content)
    _check_size(header.width, header.height)
    if header.channels == 4:
        raise BadFile("is in CMYK, the colours of print", "Save it as an RGB JPEG or PNG")
    if header.bits != 8:
        what = f"has {header.bits} bits a channel, where a photograph has 8"
        raise BadFile(what, "Save it as an 8-bit JPEG or PNG")
    return _upright(_rgb(_decode(jpeg.without_notes(content), None)), header.orientation)


def _rgb(image: Image) -> npt.NDArray[np.uint8]:
    if image.mode == "P":
        lacking = int(np.asarray(image).max()) - len(image.getpalette() or []) // 3 + 1
        if lacking > 0:
            raise BadFile("has pixels of colours that its palette lacks", _AGAIN)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    return pixels if orientation == UPRIGHT else turn(pixels, orientation)


def decode_label_ids(content: bytes) -> npt.NDArray[np.uint8]:
    """A label map: a PNG of one channel of 8 bits, or one of the odd maps whose ids are beyond doubt.

    Returns:
        (H, W) uint8, as stored: which ids there may be is for the caller to check.

    Raises:
        BadFile: it is no such file, or not whole; colour maps are told apart.
    """
    header, pixels = _open_map(content, "label")
    if header.colour_type == png.PALETTE:
        image = _decode(pixels, header)
        return ids_of_palette(np.asarray(image), image.getpalette() or [])
    if header.bits < 8:
        return ids_of_few_bits(np.asarray(_decode(pixels, header)), header.bits)
    return np.asarray(_decode_grey(pixels, header, 8, "label"), np.uint8)


def decode_instance_ids(content: bytes) -> npt.NDArray[np.uint16]:
    """An instance map: a PNG of one 16-bit channel.

    Returns:
        (H, W) uint16, as stored.

    Raises:
        BadFile: it is no such file, or not whole.
    """
    header, pixels = _open_map(content, "instance")
    return np.asarray(_decode_grey(pixels, header, 16, "instance"), np.uint16)


def _open_map(content: bytes, kind: str) -> tuple[png.Header, bytes]:
    if content.startswith(jpeg.SIGNATURE):
        raise BadFile(f"is a JPEG, which blurs {kind} ids", f"Export the {kind} ids as PNG")
    if not content.startswith(png.SIGNATURE):
        raise _no_image(content, "not a PNG image")
    return _open_png(content)


def _decode_grey(pixels: bytes, header: png.Header, bits: int, kind: str) -> npt.NDArray[Any]:
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
    plain = decode_plain(pixels, header)
    return np.asarray(_decode(pixels, header)) if plain is None else plain


def _open_png(content: bytes) -> tuple[png.Header, bytes]:
    """The header of a PNG that is whole, and the PNG without what is not pixels."""
    header = png.read_header(content)
    # before a decoder sees the file: the header alone makes it ask for the memory
    _check_size(header.width, header.height)
    return header, png.pixels_alone(content)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadFile(
            f"would unpack to {height}x{width} pixels, more than the {MAX_PIXELS} allowed (a bomb?)",
            "If it is a real photograph, make it smaller; if not, delete it",
        )


def _decode(content: bytes, header: png.Header | None) -> Image:
    """The decoded image; `header` is that of a PNG. Sizes are checked before this.

    Pillow's readers are called by name: `Image.open` tries others too, some of which start programs, and
    warns on the terminal of what is large.
    """
    reader = JpegImagePlugin.JpegImageFile if header is None else PngImagePlugin.PngImageFile
    try:
        image = reader(io.BytesIO(content))
        image.load()
        last = image.getpixel((image.width - 1, image.height - 1))
        is_black = not any(last if isinstance(last, tuple) else (last,))
        # rows that are not there are left at 0: only then is it worth unpacking the pixels once more
        if header is not None and (header.interlaced or is_black):
            png.check_rows(content, header)
    except BadFile:
        raise
    except Exception as error:  # decoders raise whatever befalls them: SyntaxError, struct.error, OSError ...
        raise _undecodable(content, header, error) from error
    return image


def _undecodable(content: bytes, header: png.Header | None, error: Exception) -> BadFile:
    """What is wrong with pixels that a decoder stumbled over, in words that are not the decoder's."""
    if header is not None:
        png.check_rows(content, header)
    elif "truncated" in str(error):
        return BadFile("is a JPEG that is cut off", _AGAIN)
    return BadFile("cannot be decoded (its pixels make no sense)", _AGAIN)


def _no_image(content: bytes, what: str) -> BadFile:
    return BadFile(f"is {what}" if content else "is empty", _AGAIN)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
