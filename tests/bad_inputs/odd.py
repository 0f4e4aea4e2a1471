"""Sources that are odd and good: they are accepted, and the first frame has exactly these pixels.

What is decided here: pixels count as stored, whatever gamma, colour profile or transparent colour say of how
to show them; EXIF's orientation counts, and the maps are of the upright photograph; an index of a palette is
an id where its colour says so; 2 and 4 bits are ids where they can mean nothing else.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from bad_inputs.corpus import FOLDER, ZIP, Change, OnDisk
from bad_inputs.encoders import (
    exif,
    interlaced_png,
    packed_png,
    with_chunk,
    with_segment,
    zip_of,
)
from bad_inputs.good import LAYOUTS, SIZE, City, encode
from segspade_core.labels import ids_to_colours

IDS = np.arange(256, dtype=np.uint8)
HEIGHT, WIDTH = SIZE
JPEG_QUALITY = 95
# EXIF orientation → how a camera held so stores an upright photograph
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image, -1),
}


@dataclass(frozen=True)
class Odd:
    """One source that is accepted as it is."""

    name: str
    change: Change
    layouts: tuple[str, ...] = ("cityscapes",)
    ways: tuple[str, ...] = (FOLDER, ZIP)
    # what is wanted of the first frame, told from the good source; None: as drawn
    image: Callable[[City], np.ndarray] | None = None  # (32, 64, 3)
    label_ids: Callable[[City], np.ndarray] | None = None  # (32, 64), as the layout writes them
    on_disk: OnDisk | None = None
    settings: dict[str, Any] | None = None


def photo_as(encoded: Callable[[np.ndarray], bytes]) -> Change:
    """Encodes the first photograph otherwise."""
    return lambda city: city.put(city.photo, encoded(city.image))


def labels_as(encoded: Callable[[np.ndarray], bytes]) -> Change:
    """Encodes the first label map otherwise."""
    return lambda city: city.put(city.label, encoded(city.label_ids))


def with_ids(ids: np.ndarray, encoded: Callable[[np.ndarray], bytes]) -> Change:
    """Gives the first frame these ids, encoded in some way."""

    def change(city: City) -> None:
        city.put(city.label, encoded(ids))
        city.put_instances(ids)

    return change


def voc_palette() -> bytes:
    """PASCAL VOC's colour map, worked out bit by bit."""
    colours = []
    for id in range(256):
        colour = [0, 0, 0]
        for step in range(8):
            for channel in range(3):
                colour[channel] |= (id >> (3 * step + channel) & 1) << (7 - step)
        colours += colour
    return bytes(colours)


def in_jpeg(image: np.ndarray) -> bytes:
    """As a camera writes it."""
    return encode(np.ascontiguousarray(image), "JPEG", quality=JPEG_QUALITY)


def out_of_jpeg(content: bytes) -> np.ndarray:
    """A peer's reading of it."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def turned(orientation: int) -> Odd:
    """A JPEG that EXIF says is to be turned; Pillow is the peer that turns it."""

    def content(image: np.ndarray) -> bytes:
        return with_segment(in_jpeg(STORED[orientation](image)), 0xE1, b"Exif\0\0" + exif(orientation))

    def upright(city: City) -> np.ndarray:
        pixels = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content(city.image)))))
        assert np.abs(pixels.astype(int) - city.image).mean() < 8  # but for what JPEG loses
        return pixels

    return Odd(f"EXIF orientation {orientation}", photo_as(content), image=upright)


def turned_png(city: City) -> None:
    """A PNG whose EXIF says that it stands on its head."""
    stored = encode(np.ascontiguousarray(city.image[::-1, ::-1]))
    city.put(city.photo, with_chunk(stored, b"eXIf", exif(3, order=">")))


def grey(city: City) -> np.ndarray:
    """The first channel alone, three times."""
    return np.repeat(city.image[..., :1], 3, axis=-1)


def renamed(change: Callable[[str], str]) -> Change:
    """Calls every file otherwise."""
    return lambda city: [city.move(path, change(path)) for path in list(city.files)]


def in_city(name: str) -> Change:
    """Puts all frames of train into a city of that name."""

    def change(city: City) -> None:
        for path in [path for path in city.files if "/train/" in path]:
            top, split, folder, file = path.split("/")
            city.move(path, f"{top}/{split}/{name}/{name}{file.removeprefix(folder)}")

    return change


def decomposed(path: str) -> str:
    """As macOS spells an umlaut, in the folder of maps alone."""
    return path.replace("\xfc", "u\u0308") if path.startswith("gtFine") else path


def unlabelled_test(city: City) -> None:
    """A split of test with photographs alone."""
    city.put(city.photo.replace("/train/", "/test/").replace("_000019_", "_000020_"), city.files[city.photo])


SMALL_IDS = np.tile(np.array([0, 7, 8, 11], np.uint8), (HEIGHT, WIDTH // 4))
ZEROS = np.zeros(SIZE, np.uint8)
CASES = (
    Odd(
        "palette in the table's colours",
        labels_as(lambda ids: packed_png(ids, 8, ids_to_colours(IDS[None])[0].tobytes())),
    ),
    Odd("palette in PASCAL VOC's colours", labels_as(lambda ids: packed_png(ids, 8, voc_palette())), LAYOUTS),
    Odd("palette of greys", labels_as(lambda ids: packed_png(ids, 8, np.repeat(IDS, 3).tobytes()))),
    Odd(
        "palette of four bits",
        with_ids(SMALL_IDS, lambda ids: packed_png(ids, 4, voc_palette()[:48])),
        label_ids=lambda _: SMALL_IDS,
    ),
    Odd("interlaced label map", labels_as(interlaced_png), LAYOUTS),
    Odd("interlaced photograph", photo_as(interlaced_png)),
    Odd(
        "4-bit label map", with_ids(SMALL_IDS, lambda ids: packed_png(ids, 4)), label_ids=lambda _: SMALL_IDS
    ),
    Odd(
        "2-bit label map",
        with_ids(SMALL_IDS % 3, lambda ids: packed_png(ids, 2)),
        label_ids=lambda _: SMALL_IDS % 3,
    ),
    Odd(
        "1-bit label map of one id",
        with_ids(ZEROS, lambda ids: packed_png(ids, 1)),
        label_ids=lambda _: ZEROS,
    ),
    Odd("bytes after the end", lambda city: city.put(city.photo, city.files[city.photo] + b"trailer")),
    Odd(
        "photograph as JPEG",
        lambda city: [
            city.put(city.photo.replace(".png", ".jpg"), in_jpeg(city.image)),
            city.drop(city.photo),
        ],
        LAYOUTS,
        image=lambda city: out_of_jpeg(in_jpeg(city.image)),
    ),
    Odd("JPEG named PNG", photo_as(in_jpeg), image=lambda city: out_of_jpeg(in_jpeg(city.image))),
    Odd(
        "progressive JPEG",
        photo_as(lambda image: encode(image, "JPEG", progressive=True)),
        image=lambda city: out_of_jpeg(encode(city.image, "JPEG", progressive=True)),
    ),
    Odd("grey photograph", photo_as(lambda image: encode(np.ascontiguousarray(image[..., 0]))), image=grey),
    Odd(
        "photograph with alpha", photo_as(lambda image: encode(np.dstack([image, np.zeros(SIZE, np.uint8)])))
    ),
    Odd(
        "photograph of a palette",
        photo_as(lambda image: packed_png(image[..., 0], 8, np.repeat(IDS, 3).tobytes())),
        image=grey,
    ),
    *(turned(orientation) for orientation in STORED),
    Odd("EXIF orientation of a PNG", turned_png),
    Odd(
        "EXIF that is cut off",
        photo_as(lambda image: with_segment(in_jpeg(image), 0xE1, b"Exif\0\0" + exif(6)[:14])),
        image=lambda city: out_of_jpeg(in_jpeg(city.image)),
    ),
    Odd(
        "EXIF orientation 9",
        photo_as(lambda image: with_segment(in_jpeg(image), 0xE1, b"Exif\0\0" + exif(9))),
        image=lambda city: out_of_jpeg(in_jpeg(city.image)),
    ),
    Odd(
        "gamma and colour profile",
        photo_as(
            lambda image: with_chunk(with_chunk(encode(image), b"gAMA", b"\0\0\0\1"), b"iCCP", b"x\0\0junk")
        ),
    ),
    Odd(
        "transparent colour",
        photo_as(
            lambda image: with_chunk(
                encode(image), b"tRNS", bytes([0, image[0, 0, 0], 0, image[0, 0, 1], 0, image[0, 0, 2]])
            )
        ),
    ),
    Odd("transparent id", labels_as(lambda ids: with_chunk(encode(ids), b"tRNS", bytes([0, ids[0, 0]])))),
    Odd(
        "text that unpacks to a hundred megabytes",
        photo_as(
            lambda image: with_chunk(encode(image), b"zTXt", b"note\0\0" + zlib.compress(bytes(100 << 20), 9))
        ),
    ),
    Odd(
        "chunks of an animation that is none",
        photo_as(lambda image: with_chunk(encode(image), b"acTL", bytes(8))),
    ),
    Odd(
        "Adobe's profile in a JPEG",
        photo_as(lambda image: with_segment(in_jpeg(image), 0xE2, b"ICC_PROFILE\0\1\1" + bytes(200))),
        image=lambda city: out_of_jpeg(in_jpeg(city.image)),
    ),
    Odd("all void", with_ids(np.full(SIZE, 255, np.uint8), encode), label_ids=lambda _: np.full(SIZE, 255)),
    Odd("upper-case suffixes", renamed(lambda path: path.replace(".png", ".PNG")), LAYOUTS),
    Odd("spaces in folders", renamed(lambda path: f"my own data/of today/{path}")),
    Odd("folders within folders", renamed(lambda path: f"a/b/c/{path}"), ("cityscapes", "camvid")),
    Odd("city with an umlaut", in_city("m\xfcnchen")),
    Odd("city in another script", in_city("東京")),
    Odd("city with spaces and quotes", in_city('são paulo\'s "centro"')),
    Odd("umlaut spelled in two ways", lambda city: [in_city("m\xfcnchen")(city), renamed(decomposed)(city)]),
    Odd("name of 255 bytes", in_city("x" * (255 - len("_000000_000019_gtFine_instanceIds.png")))),
    Odd("test without labels", unlabelled_test, settings={"splits": ("train", "val", "test")}),
    Odd(
        "what macOS leaves behind",
        lambda city: [
            city.put(f"__MACOSX/{city.photo}", b"resource fork"),
            city.put("leftImg8bit/.DS_Store", b"x"),
            city.put(city.photo.replace("nordvik_000", "._nordvik_000"), b"x"),
        ],
    ),
    Odd(
        "folder whose icon has a name of its own",
        lambda city: city.put("leftImg8bit/Icon\r", b""),
        ways=(FOLDER,),
    ),
    Odd(
        "zip file with an upper-case suffix",
        lambda city: setattr(city, "files", {"SOURCE.ZIP": zip_of(city.files)}),
        ways=(FOLDER,),
    ),
    Odd("folder named as a zip file", renamed(lambda path: f"unpacked.zip/{path}"), ways=(FOLDER,)),
    Odd(
        "link within the source",
        lambda city: None,
        ways=(FOLDER,),
        on_disk=lambda place, city: [
            (place / city.photo).rename(place / "photo.png"),
            (place / city.photo).symlink_to("../../../photo.png"),
        ],
    ),
    Odd(
        "zip stored and not packed",
        lambda city: None,
        ways=(ZIP,),
        on_disk=lambda place, city: place.write_bytes(zip_of(city.files, 0)) and None,
    ),
)
