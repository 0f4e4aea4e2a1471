"""Sources that are anything: an ingest comes of them, or what users are told; never a hang."""

from __future__ import annotations

import shutil
import struct
import tempfile
import zlib
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bad_inputs.corpus import FOLDER, ZIP, config_of, left_behind, make, write
from bad_inputs.encoders import exif, interlaced_png, packed_png, with_segment, zip_of
from bad_inputs.fuzzing import HANG_S, bounded_memory, check_words, looking_for_more
from bad_inputs.good import LAYOUTS, City, encode, good
from bad_inputs.odd import voc_palette
from segspade_core.datasets.files import BadFile
from segspade_core.datasets.pixels import decode_instance_ids, decode_label_ids, decode_photograph
from segspade_core.datasets.source import open_source
from segspade_core.errors import InputError
from storage.store import Store

pytestmark = [pytest.mark.timeout(HANG_S), pytest.mark.usefixtures("plain_ingest_all")]


@lru_cache(maxsize=1)
def images() -> tuple[bytes, ...]:
    """One of every kind that is read."""
    city = good("cityscapes")
    image, ids = city.image, city.label_ids
    return (
        encode(image),
        encode(ids),
        city.files[city.instance],
        encode(image, "JPEG"),
        encode(image, "JPEG", progressive=True),
        with_segment(encode(image, "JPEG"), 0xE1, b"Exif\0\0" + exif(6)),
        interlaced_png(image),
        interlaced_png(ids),
        packed_png(ids, 8, voc_palette()),
        packed_png(ids % 4, 2),
        packed_png(ids % 16, 4, voc_palette()[:48]),
    )


@st.composite
def altered(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes that are flipped, cut, put in, doubled or moved, a few times over."""
    held = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(held) - 1)))
        to = min(len(held), at + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["flip", "byte", "cut", "end", "insert", "double", "zero"]))
        if kind == "flip" and held:
            held[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and held:
            held[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
        elif kind == "cut":
            del held[at:to]
        elif kind == "end":
            del held[at:]
        elif kind == "insert":
            held[at:at] = draw(st.binary(max_size=20))
        elif kind == "double":
            held[at:at] = held[at:to]
        else:
            held[at:to] = bytes(to - at)
    return bytes(held)


def with_right_checksums(content: bytes) -> bytes:
    """A PNG whose chunks all have the checksum they should have: else nothing gets past the first look."""
    held, at = bytearray(content), 8
    while at + 12 <= len(held):
        (length,) = struct.unpack(">I", held[at : at + 4])
        end = at + 12 + length
        if end > len(held):
            break
        held[end - 4 : end] = struct.pack(">I", zlib.crc32(held[at + 4 : end - 4]))
        at = end
    return bytes(held)


@looking_for_more(250)
@given(data=st.data())
def test_any_altered_image(data: st.DataObject) -> None:
    """Fault: a decoder's own exception, a warning on the terminal, hundreds of megabytes, minutes."""
    content = data.draw(st.sampled_from(images()).flatmap(altered))
    if data.draw(st.booleans()):
        content = with_right_checksums(content)
    for decode, dtype in (
        (decode_photograph, "uint8"),
        (decode_label_ids, "uint8"),
        (decode_instance_ids, "uint16"),
    ):
        try:
            with bounded_memory():
                pixels = decode(content)
            assert pixels.dtype == dtype
        except BadFile as error:
            check_words(str(error))


@looking_for_more(150)
@given(data=st.data())
def test_any_altered_zip(data: st.DataObject) -> None:
    """Fault: what zipfile raises of itself."""
    method = data.draw(st.sampled_from([0, 8]))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "a.zip")
        place.write_bytes(data.draw(altered(zip_of({"a_1.png": b"x" * 300, "b/c.png": images()[1]}, method))))
        try:
            with bounded_memory():
                source = open_source(place)
                for path in source.members():
                    source.read(path)
        except InputError as error:
            check_words(str(error))


def _problems(city: City, way: str, layout: str, data: st.DataObject) -> list[str]:
    """What is left behind where the source is refused in words, or damaged where it is taken."""
    folder = Path(tempfile.mkdtemp())
    try:
        place = write(city, folder, way)
        if way == ZIP and data.draw(st.booleans()):
            place.write_bytes(data.draw(altered(place.read_bytes())))
        skip_bad = data.draw(st.booleans())
        try:
            ref = make(folder / "workspace", place, config_of(layout, skip_bad=skip_bad))
        except InputError as error:
            check_words(str(error))
            return [str(path) for path in left_behind(folder / "workspace")]
        return [str(problem) for problem in Store(folder / "workspace").verify(ref)]
    finally:
        shutil.rmtree(folder)


@looking_for_more(40)
@given(layout=st.sampled_from(LAYOUTS), way=st.sampled_from([FOLDER, ZIP]), data=st.data())
def test_any_altered_source(layout: str, way: str, data: st.DataObject) -> None:
    """Fault: an exception that is none of ours, or something left behind."""
    city = good(layout)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(city.files)))
        content = data.draw(
            st.one_of(altered(city.files[path]), st.sampled_from(images()), st.binary(max_size=50))
        )
        city.put(path, content)
    assert _problems(city, way, layout, data) == []


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


@looking_for_more(40)
@given(layout=st.sampled_from(LAYOUTS), way=st.sampled_from([FOLDER, ZIP]), data=st.data())
def test_any_renamed_source(layout: str, way: str, data: st.DataObject) -> None:
    """Fault: a name that breaks what names are put into: patterns, tables, messages, paths."""
    city = good(layout)
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(sorted(city.files)))
        parts = path.split("/")
        at = data.draw(st.integers(0, len(parts) - 1))
        kind = data.draw(st.sampled_from(["rename", "part", "drop", "copy", "above", "suffix", "delete"]))
        if kind == "rename":
            parts[at] = data.draw(names)
        elif kind == "part":
            parts[at] = parts[at].replace("0", data.draw(names), 1)
        elif kind == "drop" and len(parts) > 1:
            del parts[at]
        elif kind in ("copy", "above"):
            parts.insert(0, data.draw(names))
        elif kind == "suffix":
            parts[-1] = parts[-1].rpartition(".")[0] + data.draw(
                st.sampled_from([".PNG", ".jpg", ".png.zip", ""])
            )
        new = "/".join(parts)
        if {"", ".", ".."} & set(parts) or any(_clash(new, other) for other in city.files):
            continue  # what a folder cannot hold at all
        if kind == "delete":
            city.drop(path)
        elif kind == "copy":
            city.put(new, city.files[path])
        else:
            city.move(path, new)
        if not city.files:
            break
    assert _problems(city, way, layout, data) == []


def _clash(new: str, other: str) -> bool:
    return new == other or new.startswith(other + "/") or other.startswith(new + "/")
