"""A good source: three drawn frames in each of the layouts, as relative paths and bytes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from segspade_core.config import MinicityConfig
from segspade_core.datasets.camvid import TO_LABEL_IDS
from segspade_core.datasets.minicity import INDEX_FILE, MinicityFrame, draw_frame, sample_of

LAYOUTS = ("cityscapes", "minicity", "camvid")
SIZE = (32, 64)
CITY = MinicityConfig(train=2, val=1, size=SIZE)
# (split, index within it); the first is the one that cases break
FRAMES = (("train", 0), ("train", 1), ("val", 0))
# as their files spell them
FRAME_IDS = tuple((split, sample_of(CITY, split, index).id) for split, index in FRAMES)


def encode(pixels: np.ndarray[Any, Any], form: str = "PNG", **options: Any) -> bytes:
    """Pixels as Pillow writes them."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def frames() -> tuple[MinicityFrame, ...]:
    """The three frames as drawn: 32x64, Cityscapes ids."""
    return tuple(draw_frame(CITY, split, index) for split, index in FRAMES)


@dataclass
class City:
    """A source that is about to be broken: its files, and the names of those that are broken most."""

    layout: str
    files: dict[str, bytes]
    photo: str = ""
    label: str = ""
    instance: str = ""  # CamVid has none
    other_photo: str = ""
    other_label: str = ""
    val_photo: str = ""
    val_label: str = ""
    name: str = ""  # what the photograph's path shares with its maps

    def put(self, path: str, content: bytes) -> None:
        """Put a file in, or another in its place."""
        self.files[path] = content

    def move(self, path: str, to: str) -> None:
        """Call a file otherwise."""
        self.files[to] = self.files.pop(path)

    def drop(self, beginning: str) -> None:
        """Take away all files whose paths begin so."""
        self.files = {path: held for path, held in self.files.items() if not path.startswith(beginning)}

    def relabel(self, pixels: np.ndarray[Any, Any]) -> None:
        """Other ids for the first frame, and instance ids that agree with them."""
        self.put(self.label, encode(pixels))
        self.put_instances(pixels)

    def put_instances(self, label_ids: np.ndarray[Any, Any]) -> None:
        """An instance map of stuff alone, where the layout has one."""
        if self.instance:
            self.put(self.instance, encode(label_ids.astype(np.uint16)))

    @property
    def label_ids(self) -> np.ndarray[Any, Any]:
        """(32, 64) uint8 of the first frame, as the layout writes them."""
        return np.asarray(Image.open(io.BytesIO(self.files[self.label])))

    @property
    def image(self) -> np.ndarray[Any, Any]:
        """(32, 64, 3) uint8 of the first frame."""
        return np.asarray(Image.open(io.BytesIO(self.files[self.photo])))


def good(layout: str) -> City:
    """A source of two frames of train and one of val."""
    return _camvid() if layout == "camvid" else _cityscapes(layout)


def _cityscapes(layout: str) -> City:
    city = City(layout, {})
    paths = []
    for (split, _), frame in zip(FRAMES, frames(), strict=True):
        assert frame.sample.label_ids is not None
        assert frame.sample.instance_ids is not None
        folder = f"{split}/{frame.name.city}/{frame.name.id}"
        photo, label, instance = (
            f"leftImg8bit/{folder}_leftImg8bit.png",
            f"gtFine/{folder}_gtFine_labelIds.png",
            f"gtFine/{folder}_gtFine_instanceIds.png",
        )
        city.put(photo, encode(frame.sample.image))
        city.put(label, encode(frame.sample.label_ids))
        city.put(instance, encode(frame.sample.instance_ids))
        paths.append((photo, label, instance))
    (city.photo, city.label, city.instance), (city.other_photo, city.other_label, _), val = paths
    city.val_photo, city.val_label = val[:2]
    city.name = frames()[0].name.id
    if layout == "minicity":
        names = [sample_of(CITY, split, index) for split, index in FRAMES]
        index = {
            "config": CITY.model_dump(mode="json"),
            "frames": {
                name.id: {"split": split, "time_of_day": name.time_of_day}
                for name, (split, _) in zip(names, FRAMES, strict=True)
            },
        }
        city.put(INDEX_FILE, json.dumps(index).encode())
    return city


def _camvid() -> City:
    to_camvid = np.full(256, 11, np.uint8)
    for id in range(11):
        to_camvid[TO_LABEL_IDS[id]] = id
    city = City("camvid", {})
    paths = []
    for (split, index), frame in zip(FRAMES, frames(), strict=True):
        assert frame.sample.label_ids is not None
        name = f"{'0001TP' if split == 'train' else '0016E5'}_{index:06}"
        photo, label = f"{split}/{name}.png", f"{split}annot/{name}.png"
        city.put(photo, encode(frame.sample.image))
        city.put(label, encode(to_camvid[frame.sample.label_ids]))
        paths.append((photo, label))
    (city.photo, city.label), (city.other_photo, city.other_label), (city.val_photo, city.val_label) = paths
    city.name = "0001TP_000000"
    return city
