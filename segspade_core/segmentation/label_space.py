"""What the classes of a segmenter are: label ids, or the 19 train ids of the official score.

Whatever it is, label ids go in and come out; train ids live between targets and scores alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segspade_core.labels import (
    IGNORE_ID,
    NUM_IDS,
    NUM_TRAIN_IDS,
    VOID_IDS,
    ids_to_train_ids,
    train_ids_to_ids,
    void_mask,
)

LabelSpace = Literal["ids", "train_ids"]
LABEL_SPACES: tuple[LabelSpace, ...] = get_args(LabelSpace)


_ALL = np.arange(256, dtype=np.uint8)
_TARGETS: dict[LabelSpace, bytes] = {
    "ids": np.where(void_mask(_ALL), np.uint8(IGNORE_ID), _ALL).tobytes(),
    "train_ids": np.where(_ALL < NUM_IDS, ids_to_train_ids(_ALL), _ALL).tobytes(),
}


def targets_of(label_ids: npt.NDArray[np.uint8], space: LabelSpace) -> npt.NDArray[np.uint8]:
    """(…) uint8 label ids → (…) uint8 classes, with 255 for everything that is not learned.

    Of label ids that is what is void; of train ids also what the official score leaves out. Ids that stand
    in no table are left as they are where they would otherwise be taken for that.
    """
    # the standard library's own table lookup: a fifth of the time of NumPy's
    targets = bytearray(label_ids.tobytes()).translate(_TARGETS[space])
    return np.frombuffer(targets, np.uint8).reshape(label_ids.shape)


def unpredicted(space: LabelSpace) -> tuple[int, ...]:
    """Classes that are never predicted: those that mean that nobody knows."""
    return VOID_IDS if space == "ids" else ()


def bars(num_classes: int, space: LabelSpace, untaught: Sequence[int] = ()) -> Tensor:
    """What is added to scores so that no barred class is the highest.

    Args:
        num_classes: C.
        untaught: classes beside the `unpredicted` ones.

    Returns:
        (C,) float32: -inf for what is never chosen, else 0.
    """
    added = torch.zeros(num_classes)
    added[[each for each in (*unpredicted(space), *untaught) if each < num_classes]] = -torch.inf
    return added


def ids_of(classes: Tensor, space: LabelSpace) -> Tensor:
    """(…) uint8 classes → (…) uint8 label ids."""
    if space == "ids":
        return classes
    table = torch.from_numpy(train_ids_to_ids(np.arange(NUM_TRAIN_IDS, dtype=np.uint8)))
    return table.to(classes.device)[classes.long()]
