"""Zip files that are not whole, or hold what no archive should."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from bad_inputs.corpus import FOLDER, ZIP, Case, one, unchanged
from bad_inputs.encoders import patched_member, zip_of
from bad_inputs.good import LAYOUTS, City
from bad_inputs.names import NO_PHOTOGRAPHS

NOT_WHOLE = "{place}: is not a whole zip file. Give a dataset's folder, or a zip file that is whole."
TRUSTED = "An official archive has no such member: download it again from where you trust it"
PACKED = (ZIP,)
DAMAGED = one("{photo}: is damaged in source.zip. Download source.zip again")


def bytes_of(change: Callable[[bytes], bytes]) -> Callable[[Path, City], None]:
    """Changes the bytes of the zip file."""
    return lambda place, _: place.write_bytes(change(place.read_bytes())) and None


def member(**fields: int) -> Callable[[Path, City], None]:
    """Says other things of the first photograph."""
    return lambda place, city: (
        place.write_bytes(patched_member(place.read_bytes(), city.photo, **fields)) and None
    )


def more(name: str, content: bytes = b"x", mode: int = 0) -> Callable[[Path, City], None]:
    """One member more, of any name."""

    def change(place: Path, _city: City) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        with zipfile.ZipFile(place, "a") as archive:
            archive.writestr(info, content)

    return change


def damaged(place: Path, city: City) -> None:
    """One byte of a member is another."""
    held = bytearray(place.read_bytes())
    held[held.index(city.photo.encode()) + len(city.photo) + 60] ^= 1
    place.write_bytes(held)


def bomb_that_lies(place: Path, city: City) -> None:
    """A gigabyte of zeros that the directory says is 100 bytes."""
    parts = zip_of({**city.files, city.photo: bytes(1 << 20)})
    place.write_bytes(patched_member(parts, city.photo, size=100))


def nameless_end(archive: bytes) -> bytes:
    """The directory lies where the file does not reach."""
    end = archive.rindex(b"PK\x05\x06")
    return archive[: end + 16] + struct.pack("<I", 1 << 30) + archive[end + 20 :]


def refused(name: str, what: str) -> str:
    """The message for a member that is refused."""
    return one(f"source.zip:{name}: {what}. {TRUSTED}")


CASES = (
    Case(
        "truncated zip", unchanged, NOT_WHOLE, LAYOUTS, PACKED, bytes_of(lambda held: held[: len(held) // 2])
    ),
    Case(
        "zip without its first half",
        unchanged,
        NOT_WHOLE,
        ways=PACKED,
        on_disk=bytes_of(lambda held: held[len(held) // 2 :]),
    ),
    Case(
        "zip whose directory lies beyond its end",
        unchanged,
        NOT_WHOLE,
        ways=PACKED,
        on_disk=bytes_of(nameless_end),
    ),
    Case("empty zip", lambda city: city.drop(""), NO_PHOTOGRAPHS.format("train", "no split"), ways=PACKED),
    Case(
        "truncated zip in a folder",
        lambda city: city.put("more.zip", zip_of(city.files)[:500]),
        one("more.zip: is not a whole zip file. Download it again"),
        ways=(FOLDER,),
    ),
    Case(
        "packed and unpacked",
        lambda city: city.put("more.zip", zip_of(city.files)),
        one(
            "more.zip: holds 9 files that are in the unpacked files too, such as {instance}. Move "
            "one of the two away; "
            "while both are there, the latter are used"
        ),
        ways=(FOLDER,),
    ),
    Case(
        "zip slip",
        unchanged,
        refused("'../../a_1.png'", "has a path that leaves the archive"),
        LAYOUTS,
        PACKED,
        more("../../a_1.png"),
    ),
    Case(
        "zip slip by a backslash",
        unchanged,
        refused("'..\\\\a_1.png'", "has a backslash in its path, which some systems take for a folder"),
        ways=PACKED,
        on_disk=more("..\\a_1.png"),
    ),
    Case(
        "absolute path in a zip",
        unchanged,
        refused("'/etc/cron.d/a_1.png'", "has an absolute path, which leaves the archive"),
        ways=PACKED,
        on_disk=more("/etc/cron.d/a_1.png"),
    ),
    Case(
        "drive letter in a zip",
        unchanged,
        refused("'C:/a_1.png'", "has an absolute path, which leaves the archive"),
        ways=PACKED,
        on_disk=more("C:/a_1.png"),
    ),
    Case(
        "link in a zip",
        unchanged,
        refused("'train/a_1.png'", "is a symbolic link"),
        ways=PACKED,
        on_disk=more("train/a_1.png", b"/etc/passwd", stat.S_IFLNK | 0o777),
    ),
    Case(
        "NUL in a zip's name",
        lambda city: city.put("a_1.png@.txt", b"x"),
        refused("'a_1.png\\x00.txt'", "has a name with a NUL in it"),
        ways=PACKED,
        on_disk=bytes_of(lambda held: held.replace(b"a_1.png@.txt", b"a_1.png\0.txt")),
    ),
    Case(
        "name of 300 letters in a zip",
        unchanged,
        refused(f"'{'a' * 79}…'", "has a name of more than 255 bytes, which no file system takes"),
        ways=PACKED,
        on_disk=more("a" * 300 + "_1.png"),
    ),
    Case(
        "zip bomb",
        unchanged,
        one(
            "{photo}: has 4294967280 bytes, more than the 268435456 allowed for one image. See "
            "whether it is an image "
            "at all; if so, make it smaller"
        ),
        LAYOUTS,
        PACKED,
        member(size=0xFFFFFFF0),
    ),
    Case("zip bomb that lies", unchanged, DAMAGED, LAYOUTS, PACKED, bomb_that_lies),
    Case(
        "encrypted zip",
        unchanged,
        one("{photo}: is encrypted in source.zip. Unpack the archive with its password"),
        LAYOUTS,
        PACKED,
        member(flags=0x1),
    ),
    Case(
        "strongly encrypted zip",
        unchanged,
        one("{photo}: is encrypted in source.zip. Unpack the archive with its password"),
        ways=PACKED,
        on_disk=member(flags=0x41),
    ),
    Case("zip of patches", unchanged, DAMAGED, ways=PACKED, on_disk=member(flags=0x20)),
    Case(
        "zip of another method",
        unchanged,
        one("{photo}: is packed in source.zip by method 12. Make the archive anew with deflate"),
        ways=PACKED,
        on_disk=member(method=12),
    ),
    Case(
        "zip of a method that is none",
        unchanged,
        one("{photo}: is packed in source.zip by method 77. Make the archive anew with deflate"),
        ways=PACKED,
        on_disk=member(method=77),
    ),
    Case("damaged member", unchanged, DAMAGED, ways=PACKED, on_disk=damaged),
    Case(
        "wrong CRC in a zip",
        unchanged,
        DAMAGED,
        ways=PACKED,
        on_disk=member(crc=1),
    ),
)
