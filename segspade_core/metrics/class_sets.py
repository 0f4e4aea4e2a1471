"""The two views that scores have: over label ids, and over the 19 classes of the official score."""

from __future__ import annotations

from typing import Literal

from segspade_core.labels import NAMES, TRAIN_NAMES, VOID_IDS, by_name

ClassSet = Literal["ids", "train_ids"]
CLASS_SETS: dict[ClassSet, tuple[str, ...]] = {"ids": NAMES, "train_ids": TRAIN_NAMES}
# of each class, in the order of its set
CATEGORIES_OF: dict[ClassSet, tuple[str, ...]] = {
    name: tuple(by_name[label].category for label in labels) for name, labels in CLASS_SETS.items()
}


def scored_classes(class_set: ClassSet) -> list[tuple[int, str]]:
    """(id, name) of the classes that can be scored at all: over label ids, void is none."""
    skipped = VOID_IDS if class_set == "ids" else ()
    return [(id, name) for id, name in enumerate(CLASS_SETS[class_set]) if id not in skipped]
