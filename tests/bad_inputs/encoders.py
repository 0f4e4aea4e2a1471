"""PNGs, JPEGs and zip files that no library would write, made by hand."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bad_inputs.good import encode

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# where each of the seven small images of an interlaced PNG begins, and its step: x, y, dx, dy
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    width: int,
    height: int,
    bits: int,
    colour_type: int,
    rows: Iterable[bytes] = (),
    before: bytes = b"",
    interlace: int = 0,
    pixels: bytes | None = None,
) -> bytes:
    """A PNG of these rows, without filters.

    Args:
        before: chunks between header and pixels.
        pixels: what the pixels' chunk holds, in place of the packed rows.
    """
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlace)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows)) if pixels is None else pixels
    parts = (chunk(b"IHDR", header), before, chunk(b"IDAT", packed), chunk(b"IEND", b""))
    return SIGNATURE + b"".join(parts)


def packed_png(ids: np.ndarray[Any, Any], bits: int, palette: bytes | None = None) -> bytes:
    """(H, W) ids in 1, 2, 4 or 8 bits a pixel: grey, or indices into a palette of red, green, blue."""
    height, width = ids.shape
    flat = (ids[..., None] >> np.arange(bits - 1, -1, -1) & 1).astype(np.uint8)
    rows = np.packbits(flat.reshape(height, -1), axis=1)
    before = b"" if palette is None else chunk(b"PLTE", palette)
    return png(width, height, bits, 0 if palette is None else 3, [row.tobytes() for row in rows], before)


def interlaced_png(pixels: np.ndarray[Any, Any]) -> bytes:
    """(H, W) grey or (H, W, 3) colours, 8 bits each, as the seven small images of Adam7."""
    rows = [
        row.tobytes() for x, y, dx, dy in _ADAM7 for row in pixels[y::dy, x::dx] if pixels[y::dy, x::dx].size
    ]
    height, width = pixels.shape[:2]
    return png(width, height, 8, 0 if pixels.ndim == 2 else 2, rows, interlace=1)


def with_chunk(content: bytes, name: bytes, held: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    return content[:33] + chunk(name, held) + content[33:]


def segment(marker: int, held: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(held) + 2) + held


def with_segment(content: bytes, marker: int, held: bytes) -> bytes:
    """A JPEG with one more segment at its start."""
    return content[:2] + segment(marker, held) + content[2:]


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """EXIF data that hold an orientation and no more, from the TIFF header on."""
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return start + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, kind, 1, orientation, 0, 0)


def jpeg_header(width: int, height: int, bits: int = 8, channels: int = 3) -> bytes:
    """A JPEG that ends after its header."""
    frame = struct.pack(">BHHB", bits, height, width, channels) + bytes(
        part for id in range(channels) for part in (id + 1, 0x11, 0)
    )
    return b"\xff\xd8" + segment(0xC0, frame) + b"\xff\xd9"


def jpeg_of_many_scans(pixels: np.ndarray[Any, Any], count: int) -> bytes:
    """A progressive JPEG whose last pass over the pixels comes again and again."""
    content = encode(pixels, "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + content[-2:]


def zip_of(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content, compress_type=method)
    return buffer.getvalue()


def patched_member(archive: bytes, path: str, **fields: int) -> bytes:
    """A zip file that says other things of one member: flags, method, crc, packed, size.

    Said in the directory at its end and before the member itself.
    """
    held = bytearray(archive)
    name = path.encode()
    # offsets from the header's start, of the member's own header and of its entry in the directory
    places = {"flags": (6, 8, "H"), "method": (8, 10, "H"), "crc": (14, 16, "I"), "packed": (18, 20, "I")}
    places["size"] = (22, 24, "I")
    starts = (held.index(b"PK\x03\x04" + held[4:4]), 30), (held.index(b"PK\x01\x02"), 46)
    for which, (start, length) in enumerate(starts):
        at = start
        while held[at + length : at + length + len(name)] != name:
            at = held.index(b"PK\x03\x04" if which == 0 else b"PK\x01\x02", at + 4)
        for field, value in fields.items():
            struct.pack_into(f"<{places[field][2]}", held, at + places[field][which], value)
    return bytes(held)
