"""The parts of a PNG that a decoder keeps to itself: the stored depth, and whether the file is whole.

Pillow scales 2 and 4 bit greys up, takes 16 bit colours down, and skips the checksums of the pixels; each
would turn a wrong label map into a plausible one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from segspade_core.datasets.files import BadFile

HEADER_BYTES = 33  # signature, and the chunk that holds the size
SIGNATURE = b"\x89PNG\r\n\x1a\n"
# colour types, PNG specification (third edition), section 11.2.1
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
# the depths that each may have, table 8
_DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
# what pixels are made of; all else (gamma, profiles, transparent colours, text) a decoder may stumble over
_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a PNG says of itself."""

    width: int
    height: int
    bits: int  # a channel
    colour_type: int
    interlaced: bool

    def pixel_bytes(self) -> int:
        """Bytes of all rows, unpacked, with the byte before each row that names its filter."""
        bits = self.bits * _CHANNELS[self.colour_type]
        # section 8: an interlaced image is seven small ones; each begins at and steps by so many pixels
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        sizes = ((-(-(self.width - x) // dx), -(-(self.height - y) // dy)) for x, y, dx, dy in passes)
        return sum(height * (1 + (width * bits + 7) // 8) for width, height in sizes if width > 0)


def read_header(content: bytes) -> Header:
    """The header of a PNG.

    Args:
        content: a file's bytes that begin with the signature.

    Raises:
        BadFile: it is cut off within the header, has none, or one that no PNG can have.
    """
    if len(content) < HEADER_BYTES:
        raise _cut_off(content)
    if content[8:16] != b"\0\0\0\x0dIHDR":
        raise BadFile("is a PNG without a header", "Download or export it again")
    width, height, bits, colour_type, packing, filtering, interlace = struct.unpack(
        ">IIBBBBB", content[16:29]
    )
    known = bits in _DEPTHS.get(colour_type, ()) and packing == filtering == 0 and interlace <= 1
    if not (known and 0 < width < 2**31 and 0 < height < 2**31):
        if zlib.crc32(content[12:29]) != int.from_bytes(content[29:33], "big"):
            raise _damaged(b"IHDR", len(SIGNATURE))
        raise BadFile("cannot be decoded (its header makes no sense)", "Download or export it again")
    return Header(width, height, bits, colour_type, interlaced=interlace == 1)


def pixels_alone(content: bytes) -> bytes:
    """The same PNG with nothing but its pixels, once every chunk is seen to have its checksum.

    Raises:
        BadFile: the file is cut off, or damaged.
    """
    view, start, kept = memoryview(content), len(SIGNATURE), [memoryview(SIGNATURE)]
    for name, data in _chunks(content):
        stop = start + 12 + len(data)
        if name in _PIXELS:
            kept.append(view[start:stop])
        start = stop
    return b"".join(kept)


def read_chunk(content: bytes, wanted: bytes) -> bytes | None:
    """What the first chunk of that name holds; None where there is none."""
    return next((bytes(data) for name, data in _chunks(content) if name == wanted), None)


def check_rows(content: bytes, header: Header) -> None:
    """See that there are pixels for every row: a decoder may leave out the last ones and say nothing.

    Args:
        content: a PNG that is whole.
        header: its own.

    Raises:
        BadFile: pixels are missing.
    """
    unpack, missing = zlib.decompressobj(), header.pixel_bytes()
    for name, pixels in _chunks(content):
        if name == b"IDAT" and missing > 0:
            try:
                # never more than the image has: the rest may be a bomb
                missing -= len(unpack.decompress(pixels, missing))
            except zlib.error as error:
                what = "cannot be decoded (its packed pixels are damaged)"
                raise BadFile(what, "Download or export it again") from error
    if missing > 0:
        raise BadFile(
            f"lacks {missing} of the {header.pixel_bytes()} bytes of its pixels",
            "Download or export it again",
        )


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view = memoryview(content)
    start = len(SIGNATURE)
    while True:
        if start + 12 > len(view):
            raise _cut_off(content)
        length, name = struct.unpack(">I4s", view[start : start + 8])
        end = start + 12 + length
        if end > len(view):
            raise _cut_off(content)
        if zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise _damaged(name, start)
        yield name, view[start + 8 : end - 4]
        if name == b"IEND":
            return
        start = end


def _damaged(name: bytes, start: int) -> BadFile:
    return BadFile(
        f"is damaged: chunk {name!a} at byte {start} does not have the checksum it should have",
        "Download or export it again",
    )


def _cut_off(content: bytes) -> BadFile:
    return BadFile(f"is cut off after {len(content)} bytes", "Download or export it again")
