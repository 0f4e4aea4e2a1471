"""The one table of labels, as Cityscapes defines them; other datasets map into it.

Label ids (0..33) are what is stored, predicted and painted from. Train ids (0..18, 255 = ignore) are the
view that official scores use. Source: Cordts et al., "The Cityscapes Dataset", CVPR 2016, section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

IGNORE_ID = 255
NUM_IDS = 34
NUM_TRAIN_IDS = 19
# no object at all: left out of the loss, the metrics and the one-hot maps alike. Every other id, ego vehicle
# and static included, is learned and scored over ids
VOID_IDS = (0, 2, 3)

Ids = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Label:
    """One row of the table."""

    name: str
    id: int  # as annotated; -1 is never stored
    train_id: int  # 0..18, or 255: not in the official score
    category: str
    category_id: int
    has_instances: bool  # instance ids tell its objects apart
    ignore_in_eval: bool  # left out of the official score
    colour: tuple[int, int, int]  # (red, green, blue) in colour maps


def _label(
    name: str,
    id: int,
    train_id: int,
    category: str,
    category_id: int,
    has_instances: int,
    colour: tuple[int, int, int],
) -> Label:
    return Label(
        name, id, train_id, category, category_id, bool(has_instances), train_id == IGNORE_ID, colour
    )


# fmt: off
#      name                     id  train  category       cat  instances  colour
LABELS: tuple[Label, ...] = (
    _label("unlabeled",            0, 255, "void",         0, 0, (0, 0, 0)),
    _label("ego vehicle",          1, 255, "void",         0, 0, (0, 0, 0)),
    _label("rectification border", 2, 255, "void",         0, 0, (0, 0, 0)),
    _label("out of roi",           3, 255, "void",         0, 0, (0, 0, 0)),
    _label("static",               4, 255, "void",         0, 0, (0, 0, 0)),
    _label("dynamic",              5, 255, "void",         0, 0, (111, 74, 0)),
    _label("ground",               6, 255, "void",         0, 0, (81, 0, 81)),
    _label("road",                 7,   0, "flat",         1, 0, (128, 64, 128)),
    _label("sidewalk",             8,   1, "flat",         1, 0, (244, 35, 232)),
    _label("parking",              9, 255, "flat",         1, 0, (250, 170, 160)),
    _label("rail track",          10, 255, "flat",         1, 0, (230, 150, 140)),
    _label("building",            11,   2, "construction", 2, 0, (70, 70, 70)),
    _label("wall",                12,   3, "construction", 2, 0, (102, 102, 156)),
    _label("fence",               13,   4, "construction", 2, 0, (190, 153, 153)),
    _label("guard rail",          14, 255, "construction", 2, 0, (180, 165, 180)),
    _label("bridge",              15, 255, "construction", 2, 0, (150, 100, 100)),
    _label("tunnel",              16, 255, "construction", 2, 0, (150, 120, 90)),
    _label("pole",                17,   5, "object",       3, 0, (153, 153, 153)),
    _label("polegroup",           18, 255, "object",       3, 0, (153, 153, 153)),
    _label("traffic light",       19,   6, "object",       3, 0, (250, 170, 30)),
    _label("traffic sign",        20,   7, "object",       3, 0, (220, 220, 0)),
    _label("vegetation",          21,   8, "nature",       4, 0, (107, 142, 35)),
    _label("terrain",             22,   9, "nature",       4, 0, (152, 251, 152)),
    _label("sky",                 23,  10, "sky",          5, 0, (70, 130, 180)),
    _label("person",              24,  11, "human",        6, 1, (220, 20, 60)),
    _label("rider",               25,  12, "human",        6, 1, (255, 0, 0)),
    _label("car",                 26,  13, "vehicle",      7, 1, (0, 0, 142)),
    _label("truck",               27,  14, "vehicle",      7, 1, (0, 0, 70)),
    _label("bus",                 28,  15, "vehicle",      7, 1, (0, 60, 100)),
    _label("caravan",             29, 255, "vehicle",      7, 1, (0, 0, 90)),
    _label("trailer",             30, 255, "vehicle",      7, 1, (0, 0, 110)),
    _label("train",               31,  16, "vehicle",      7, 1, (0, 80, 100)),
    _label("motorcycle",          32,  17, "vehicle",      7, 1, (0, 0, 230)),
    _label("bicycle",             33,  18, "vehicle",      7, 1, (119, 11, 32)),
    _label("license plate",       -1, 255, "vehicle",      7, 0, (0, 0, 142)),
)
# fmt: on

by_id: dict[int, Label] = {label.id: label for label in LABELS}
by_name: dict[str, Label] = {label.name: label for label in LABELS}
INSTANCE_IDS: tuple[int, ...] = tuple(label.id for label in LABELS if label.has_instances)
NAMES: tuple[str, ...] = tuple(by_id[id].name for id in range(NUM_IDS))
TRAIN_NAMES: tuple[str, ...] = tuple(
    next(label.name for label in LABELS if label.train_id == train_id) for train_id in range(NUM_TRAIN_IDS)
)
CATEGORIES: tuple[str, ...] = tuple(dict.fromkeys(label.category for label in LABELS))  # by category id


def _table(fill: int) -> Ids:
    return np.full(256, fill, np.uint8)


_TO_TRAIN = _table(IGNORE_ID)
_TO_CATEGORY = _table(IGNORE_ID)
_FROM_TRAIN = _table(IGNORE_ID)
_COLOURS = np.zeros((256, 3), np.uint8)
_VOID = np.zeros(256, bool)
for _row in LABELS[:NUM_IDS]:
    _TO_TRAIN[_row.id] = _row.train_id
    _TO_CATEGORY[_row.id] = _row.category_id
    _COLOURS[_row.id] = _row.colour
    if _row.train_id != IGNORE_ID:
        _FROM_TRAIN[_row.train_id] = _row.id
_VOID[[*VOID_IDS, IGNORE_ID]] = True


def ids_to_train_ids(label_ids: npt.NDArray[Any]) -> Ids:
    """(…) label ids as uint8 → (…) uint8 train ids; 255 for what the official score leaves out."""
    return _TO_TRAIN[label_ids]


def ids_to_categories(label_ids: npt.NDArray[Any]) -> Ids:
    """(…) label ids as uint8 → (…) uint8 category ids, 0..7 of `CATEGORIES`; 255 outside the table."""
    return _TO_CATEGORY[label_ids]


def train_ids_to_ids(train_ids: npt.NDArray[Any]) -> Ids:
    """(…) train ids as uint8 → (…) uint8 label ids; 255 where there is no such train id."""
    return _FROM_TRAIN[train_ids]


def ids_to_colours(label_ids: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """(…) label ids as uint8 → (…, 3) uint8 colours; black for ids outside the table."""
    return _COLOURS[label_ids]


def void_mask(label_ids: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """(…) label ids as uint8 → (…) bool: void, left out of the loss and of every metric."""
    return _VOID[label_ids]


def colours_to_ids(colours: npt.NDArray[Any]) -> Ids:
    """(…, 3) uint8 colours → (…) uint8 label ids; 255 for a colour outside the table.

    A colour that several labels share (black, and the poles' grey) becomes the first of them.
    """
    packed = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    result = np.full(packed.shape, IGNORE_ID, np.uint8)
    for label in reversed(LABELS[:NUM_IDS]):
        red, green, blue = label.colour
        result[packed == (red << 16 | green << 8 | blue)] = label.id
    return result
