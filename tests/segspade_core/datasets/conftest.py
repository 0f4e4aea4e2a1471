"""Small datasets on disk, in the official layouts."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segspade_core.config import IngestConfig
from segspade_core.datasets.decode import check_sample
from segspade_core.datasets.files import SampleFiles
from segspade_core.datasets.index import find_samples
from segspade_core.datasets.source import Source, open_source

REPOSITORY = Path(__file__).parents[3]
H, W = 16, 20


def encode(pixels: np.ndarray[Any, Any], form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


class Png:
    """PNGs as tests need them, those that Pillow would not write among them."""

    encode = staticmethod(encode)
    chunk = staticmethod(chunk)

    @staticmethod
    def raw(
        width: int,
        height: int,
        bits: int,
        colour_type: int,
        rows: Iterable[bytes] = (),
        extra: bytes = b"",
        interlace: int = 0,
    ) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlace)
        pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + extra
            + chunk(b"IDAT", pixels)
            + chunk(b"IEND", b"")
        )


@pytest.fixture(scope="session")
def png() -> type[Png]:
    return Png


class City:
    """A folder in Cityscapes' layout, a frame at a time; every frame looks different."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.photos: dict[str, np.ndarray[Any, Any]] = {}
        self.labels: dict[str, np.ndarray[Any, Any]] = {}
        self.instances: dict[str, np.ndarray[Any, Any]] = {}

    def put(self, path: str, content: bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def photo_path(self, id: str, split: str = "train") -> str:
        return f"leftImg8bit/{split}/{id.split('_')[0]}/{id}_leftImg8bit.png"

    def map_path(self, id: str, split: str = "train", kind: str = "labelIds", truth: str = "gtFine") -> str:
        return f"{truth}/{split}/{id.split('_')[0]}/{id}_{truth}_{kind}.png"

    def frame(
        self,
        id: str,
        split: str = "train",
        truth: str = "gtFine",
        maps: tuple[str, ...] = ("labelIds", "instanceIds"),
        photo: bool = True,
    ) -> str:
        """Write one frame: its left half is road, its right half the second car."""
        rng = np.random.default_rng(zlib.crc32(id.encode()))
        self.photos[id] = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
        self.labels[id] = np.full((H, W), 7, np.uint8)
        self.labels[id][:, W // 2 :] = 26
        self.instances[id] = np.where(self.labels[id] == 26, 26001, 7).astype(np.uint16)
        if photo:
            self.put(self.photo_path(id, split), encode(self.photos[id]))
        for kind, pixels in (("labelIds", self.labels[id]), ("instanceIds", self.instances[id])):
            if kind in maps:
                self.put(self.map_path(id, split, kind, truth), encode(pixels))
        return id

    def pack(self, archive: Path, top: str = "") -> None:
        """Put what lies below `top` into a zip file, by its path from the root."""
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
            pack.writestr("README", "in every official archive")
            for file in sorted((self.root / top).rglob("*")):
                if file.is_file():
                    pack.write(file, file.relative_to(self.root))


@pytest.fixture
def city(tmp_path: Path) -> City:
    return City(tmp_path / "city")


@pytest.fixture
def new_city() -> Callable[[Path], City]:
    return City


class One:
    """A city of one frame whose files tests replace."""

    config = IngestConfig(layout="cityscapes", size=(H // 2, W // 2), splits=("train",))

    def __init__(self, city: City) -> None:
        id = city.frame("ulm_000000_000019")
        self.root, self.put = city.root, city.put
        self.photo, self.label = city.photo_path(id), city.map_path(id)
        self.instance = city.map_path(id, kind="instanceIds")
        self.photo_pixels, self.label_pixels = city.photos[id], city.labels[id]
        self.instance_pixels = city.instances[id]

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def files(self, place: Path | None = None) -> tuple[Source, SampleFiles]:
        source = open_source(place or self.root)
        (files,) = find_samples(source, self.config).samples["train"]
        return source, files

    def lines(self) -> list[str]:
        """What is wrong with it."""
        return [str(problem) for problem in check_sample(*self.files(), self.config)]


@pytest.fixture
def one(city: City) -> One:
    return One(city)


@pytest.fixture(scope="session")
def camvid_sample() -> Path:
    """32 real street frames, which are not ours to put into the repository."""
    folder = REPOSITORY.parent / "shared" / "data" / "camvid-sample"
    if not folder.is_dir():
        pytest.skip(f"the real frames are not there: {folder}")
    return folder
