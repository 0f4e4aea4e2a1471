"""Whether an instance map says the same as its label map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segspade_core.datasets.files import BadFile
from segspade_core.labels import IGNORE_ID, NUM_IDS


def label_ids_of(instance_ids: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """(H, W) instance ids → (H, W) label ids: an object is id * 1000 + k, all else is its label id."""
    return np.where(instance_ids < 1000, instance_ids, instance_ids // 1000)


def check_instances(instance_ids: npt.NDArray[np.uint16], label_ids: npt.NDArray[np.uint8] | None) -> None:
    """See that instance ids are made of label ids: those of the label map, where there is one.

    Args:
        instance_ids: (H, W) uint16, as stored.
        label_ids: (H, W) uint8, Cityscapes ids or 255, of the same size. Where it is 255, anything goes.

    Raises:
        BadFile: they are not.
    """
    if label_ids is not None:
        if label_ids.shape != instance_ids.shape:
            return  # the label map's own problem says so
        if _agree(instance_ids, label_ids):
            return  # most maps: there is nothing to count
    owners = label_ids_of(instance_ids)
    if label_ids is None:
        wrong = (owners >= NUM_IDS) & (owners != IGNORE_ID)
    else:
        wrong = (owners != label_ids) & (label_ids != IGNORE_ID)
    count = int(np.count_nonzero(wrong))
    if count == 0:
        return
    first = int(wrong.argmax())
    instance, owner = int(instance_ids.flat[first]), int(owners.flat[first])
    share = f"in {count} of {wrong.size} pixels"
    if label_ids is None:
        raise BadFile(
            f"instance id {instance} is of label id {owner}, not in label table 'cityscapes' ({share})",
            "An object's instance id is its label id * 1000 + its number: export the map anew",
        )
    raise BadFile(
        f"does not agree with the label map {share}: the first is instance id {instance}, of label id "
        f"{owner}, where the label map says {int(label_ids.flat[first])}",
        "Export both maps from the same annotation",
    )


def _agree(instance_ids: npt.NDArray[np.uint16], label_ids: npt.NDArray[np.uint8]) -> bool:
    """Whether they say the same everywhere, also where the label map is void; a quarter of the time."""
    kinds = instance_ids // np.uint16(1000)
    same = kinds == label_ids
    same &= kinds > 0
    same |= instance_ids == label_ids
    return bool(same.all())
