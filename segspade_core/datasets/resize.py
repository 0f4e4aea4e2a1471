"""The one rule by which photographs and maps are brought to size.

The whole frame is fitted to the size asked for; its aspect ratio may change.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

Map = TypeVar("Map", bound=np.generic)

# kept with every dataset, and part of its key: it says what a stored pixel is
RESIZE_RULE: dict[str, str] = {
    "image": "area: mean of whole blocks, halves up, if H, W are multiples of h, w; else PIL BOX",
    "label_ids": "nearest: pixel (y, x) of h x w is pixel (floor((2y+1)H/2h), floor((2x+1)W/2w)) of H x W",
    "instance_ids": "nearest: as label_ids",
}


def resize_area(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Mean of the area that each new pixel covers.

    Args:
        image: (H, W, 3) uint8.
        size: (h, w).

    Returns:
        (h, w, 3) uint8. Exactly the mean, halves rounded up, where H and W are multiples of h and w;
        within 1 of it otherwise, as PIL rounds rows and columns in turn. Enlarging repeats pixels.
    """
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    if height % size[0] or width % size[1]:
        return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BOX))
    down, across = height // size[0], width // size[1]
    count = down * across
    if count & (count - 1) == 0:
        # three times as fast as BOX, and exact for powers of two; by others it falls up to 1 short
        return np.asarray(Image.fromarray(image).reduce((across, down)))
    sums = image.reshape(size[0], down, size[1], across, 3).sum((1, 3), dtype=np.uint32)
    return ((2 * sums + count) // (2 * count)).astype(np.uint8)


def resize_nearest(ids: npt.NDArray[Map], size: tuple[int, int]) -> npt.NDArray[Map]:
    """The pixel under the centre of each new pixel: torch's nearest-exact, and PIL's NEAREST.

    A centre that falls on the line between two pixels takes the lower right one, so half the size is
    `ids[1::2, 1::2]` (cv2's and torch's `nearest` would be `ids[0::2, 0::2]`). PIL takes the same pixels for
    whole factors; for others it takes the upper left one on some of these lines, by an error of its floats.

    Args:
        ids: (H, W), any dtype.
        size: (h, w).

    Returns:
        (h, w), the same dtype.
    """
    if ids.shape == size:
        return ids
    steps = [old // new for old, new in zip(ids.shape, size, strict=True)]
    if (steps[0] * size[0], steps[1] * size[1]) == ids.shape:
        # whole factors: the same pixels, without a table of where they lie
        return np.ascontiguousarray(ids[steps[0] // 2 :: steps[0], steps[1] // 2 :: steps[1]])
    rows, columns = (_nearest(old, new) for old, new in zip(ids.shape, size, strict=True))
    return ids[rows[:, None], columns]


def _nearest(old: int, new: int) -> npt.NDArray[Any]:
    # whole numbers, so that which pixel it is can be told without knowing how floats were added up
    return (2 * np.arange(new) + 1) * old // (2 * new)
