"""The header of a JPEG, read before a decoder sees the file: its size, its channels, how it is to be turned.

Source: ITU-T T.81, annex B (markers); EXIF 2.32, section 4.7.2 (the segment it lies in).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from segspade_core.datasets.files import BadFile
from segspade_core.datasets.orientation import UPRIGHT, read_orientation

SIGNATURE = b"\xff\xd8\xff"
# SOF0..SOF15, which begin a frame, without DHT, JPG and DAC, which lie among them
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, 0xD9
# EXIF, colour profiles, thumbnails and comments; APP0 and APP14 say what the channels are
_EXIF, _NOTES = 0xE1, frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
# a progressive photograph has about ten; each is a pass over all pixels, and may be of a few bytes
_MAX_SCANS = 100
_AGAIN = "Download or export it again"


@dataclass(frozen=True)
class Header:
    """What a JPEG says of itself."""

    width: int
    height: int
    bits: int  # a channel
    channels: int  # 1: grey, 3: colours, 4: CMYK
    orientation: int  # of EXIF, 1..8


def read_header(content: bytes) -> Header:
    """The header of a JPEG.

    Args:
        content: a file's bytes that begin with the signature.

    Raises:
        BadFile: there is none, or there are more passes over the pixels than any photograph has.
    """
    orientation = UPRIGHT
    for marker, start, stop in _segments(content):
        if marker == _EXIF and content[start + 4 : start + 10] == b"Exif\0\0":
            orientation = read_orientation(content[start + 10 : stop])
        elif marker in _FRAMES and stop - start >= 10:
            bits, height, width, channels = struct.unpack_from(">BHHB", content, start + 4)
            if not width or not height or channels not in (1, 3, 4):
                break
            # within coded pixels FF is never followed by DA
            if content.count(b"\xff\xda") > _MAX_SCANS:
                what = f"is a JPEG of more than {_MAX_SCANS} passes over its pixels (a bomb?)"
                raise BadFile(what, "If it is a real photograph, save it anew; if not, delete it")
            return Header(width, height, bits, channels, orientation)
    raise BadFile("cannot be decoded (its header makes no sense)", _AGAIN)


def without_notes(content: bytes) -> bytes:
    """The same pixels without EXIF, profiles and thumbnails: a decoder may stumble, or warn of them."""
    kept, end = [content[:2]], 2
    for marker, start, stop in _segments(content):
        if marker not in _NOTES:
            kept.append(content[start:stop])
        end = stop
    return b"".join([*kept, content[end:]])


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and stop of every segment before the coded pixels."""
    start = 2
    while start + 4 <= len(content) and content[start] == 0xFF:
        marker = content[start + 1]
        if marker == 0xFF:  # a byte of padding
            start += 1
            continue
        stop = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
        if marker in (_SCAN, _END) or stop > len(content) or stop < start + 4:
            return
        yield marker, start, stop
        start = stop
