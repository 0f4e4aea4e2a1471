"""Photographs that are none, or not whole, or not what a photograph is here."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from bad_inputs.corpus import FOLDER, Case, one
from bad_inputs.encoders import chunk, jpeg_header, jpeg_of_many_scans, packed_png, png
from bad_inputs.good import LAYOUTS, City, encode

AGAIN = "Download or export it again"
SMALLER = "If it is a real photograph, make it smaller; if not, delete it"
NO_SENSE = f"cannot be decoded (its header makes no sense). {AGAIN}"


def photo(problem: str) -> str:
    """The message of a source whose first photograph has this problem."""
    return one(f"{{photo}}: {problem}")


def as_photo(content: bytes | Callable[[City], bytes]) -> Callable[[City], None]:
    """Puts other bytes in the place of the first photograph."""

    def change(city: City) -> None:
        city.put(city.photo, content if isinstance(content, bytes) else content(city))

    return change


def held(city: City) -> bytes:
    """The first photograph's bytes."""
    return city.files[city.photo]


def with_flipped_byte(content: bytes) -> bytes:
    """One bit of the pixels another, and the checksum as it was."""
    at = content.index(b"IDAT") + 40
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


def in_format(form: str) -> Callable[[City], bytes]:
    """The first photograph in another format, under its old name."""
    return lambda city: encode(city.image, form)


def cmyk(city: City) -> bytes:
    """The first photograph as it goes to a printer."""
    buffer = io.BytesIO()
    Image.fromarray(city.image).convert("CMYK").save(buffer, "JPEG")
    return buffer.getvalue()


def with_unknown_filter(_city: City) -> bytes:
    """Each row names a filter that there is none of."""
    rows = b"".join(b"\x09" + bytes([3]) * 192 for _ in range(32))
    return png(64, 32, 8, 2, pixels=zlib.compress(rows))


CASES = (
    Case("empty photograph", as_photo(b""), photo(f"is empty. {AGAIN}"), LAYOUTS),
    Case("web page", as_photo(b"<html>404"), photo(f"is neither a PNG nor a JPEG image. {AGAIN}")),
    Case(
        "pointer of Git LFS",
        as_photo(b"version https://git-lfs.github.com/spec/v1\n"),
        photo(f"is neither a PNG nor a JPEG image. {AGAIN}"),
        ("camvid",),
    ),
    Case("GIF named PNG", as_photo(in_format("GIF")), photo(f"is neither a PNG nor a JPEG image. {AGAIN}")),
    Case("WebP named PNG", as_photo(in_format("WEBP")), photo(f"is neither a PNG nor a JPEG image. {AGAIN}")),
    Case("BMP named PNG", as_photo(in_format("BMP")), photo(f"is neither a PNG nor a JPEG image. {AGAIN}")),
    Case(
        "truncated PNG",
        as_photo(lambda city: held(city)[:400]),
        photo(f"is cut off after 400 bytes. {AGAIN}"),
        LAYOUTS,
    ),
    Case(
        "PNG of 20 bytes",
        as_photo(lambda city: held(city)[:20]),
        photo(f"is cut off after 20 bytes. {AGAIN}"),
    ),
    Case(
        "PNG without an end",
        as_photo(lambda city: png(64, 32, 8, 2, [bytes(192)] * 32)[:-12]),
        photo(f"is cut off after 73 bytes. {AGAIN}"),
    ),
    Case(
        "PNG without a header",
        as_photo(lambda city: held(city)[:8] + held(city)[33:]),
        photo(f"is a PNG without a header. {AGAIN}"),
    ),
    Case(
        "PNG with a wrong CRC",
        as_photo(lambda city: with_flipped_byte(held(city))),
        photo(f"is damaged: chunk b'IDAT' at byte 33 does not have the checksum it should have. {AGAIN}"),
        LAYOUTS,
    ),
    Case(
        "PNG with a wrong CRC of its header",
        as_photo(lambda city: held(city)[:24] + b"\x0b" + held(city)[25:]),
        photo(f"is damaged: chunk b'IHDR' at byte 8 does not have the checksum it should have. {AGAIN}"),
    ),
    Case("PNG of no width", as_photo(png(0, 32, 8, 2)), photo(NO_SENSE)),
    Case("PNG of 3 bits a channel", as_photo(png(64, 32, 3, 2)), photo(NO_SENSE)),
    Case("PNG of a colour type that is none", as_photo(png(64, 32, 8, 5)), photo(NO_SENSE)),
    Case("PNG interlaced in a way that is none", as_photo(png(64, 32, 8, 2, interlace=2)), photo(NO_SENSE)),
    Case(
        "header of 30000x30000",
        as_photo(png(30000, 30000, 8, 2)),
        photo(f"would unpack to 30000x30000 pixels, more than the 67108864 allowed (a bomb?). {SMALLER}"),
    ),
    Case(
        "header of two thousand million pixels a side",
        as_photo(png(2**31 - 1, 2**31 - 1, 8, 2)),
        photo(
            "would unpack to 2147483647x2147483647 pixels, more than the 67108864 allowed (a bomb?). "
            + SMALLER
        ),
    ),
    Case(
        "JPEG header of 65500x65500",
        as_photo(jpeg_header(65500, 65500)),
        photo(f"would unpack to 65500x65500 pixels, more than the 67108864 allowed (a bomb?). {SMALLER}"),
    ),
    Case(
        "JPEG of a thousand passes",
        as_photo(lambda city: jpeg_of_many_scans(city.image, 1000)),
        photo(
            "is a JPEG of more than 100 passes over its pixels (a bomb?). If it is a real "
            "photograph, save it "
            "anew; if not, delete it"
        ),
    ),
    Case(
        "rows missing",
        as_photo(png(64, 32, 8, 2, [bytes([9] * 192)] * 3)),
        photo(f"lacks 5597 of the 6176 bytes of its pixels. {AGAIN}"),
    ),
    Case(
        "pixels not packed",
        as_photo(png(64, 32, 8, 2, pixels=bytes(6176))),
        photo(f"cannot be decoded (its packed pixels are damaged). {AGAIN}"),
    ),
    Case(
        "rows of a filter that is none",
        as_photo(with_unknown_filter),
        photo(f"cannot be decoded (its pixels make no sense). {AGAIN}"),
    ),
    Case(
        "palette photograph without a palette",
        as_photo(lambda city: packed_png(np.full((32, 64), 3), 8, b"").replace(chunk(b"PLTE", b""), b"")),
        photo(f"has pixels of colours that its palette lacks. {AGAIN}"),
    ),
    Case(
        "truncated JPEG",
        as_photo(lambda city: encode(city.image, "JPEG")[:700]),
        photo(f"is a JPEG that is cut off. {AGAIN}"),
    ),
    Case("JPEG of three bytes", as_photo(b"\xff\xd8\xff"), photo(NO_SENSE)),
    Case("JPEG of no height", as_photo(jpeg_header(64, 0)), photo(NO_SENSE)),
    Case(
        "CMYK",
        as_photo(cmyk),
        photo("is in CMYK, the colours of print. Save it as an RGB JPEG or PNG"),
        LAYOUTS,
    ),
    Case(
        "JPEG of 12 bits",
        as_photo(jpeg_header(64, 32, bits=12)),
        photo("has 12 bits a channel, where a photograph has 8. Save it as an 8-bit JPEG or PNG"),
    ),
    Case(
        "16-bit photograph",
        as_photo(png(64, 32, 16, 2, [bytes(384)] * 32)),
        photo("has 16 bits a channel, where a photograph has 8. Save it as an 8-bit RGB PNG"),
    ),
    Case(
        "1x1",
        as_photo(png(1, 1, 8, 2, [b"abc"])),
        photo(
            "is 1x1 pixels, too small for a photograph. Export it at its own size; each side is at least "
            "8 pixels"
        ),
        LAYOUTS,
        (FOLDER,),
    ),
)
