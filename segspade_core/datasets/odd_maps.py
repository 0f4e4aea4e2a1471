"""Label maps in PNGs of other kinds than 8-bit grey, where it is beyond doubt which ids they hold.

A program that makes files smaller turns a colour map into a palette whose indices are no ids, and grey
values into fewer bits by dividing them. What may be such a file is refused: a wrong map would look right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segspade_core.datasets.files import BadFile
from segspade_core.labels import IGNORE_ID, NUM_IDS, ids_to_colours

_SAVE = "Save its ids as a grey PNG of 8 bits"
Ids = npt.NDArray[np.uint8]


def ids_of_palette(indices: npt.NDArray[np.uint8], palette: Sequence[int]) -> Ids:
    """The indices, if the palette's colours are those of label ids.

    That is, each index that occurs has the colour of that id in the table of labels, in PASCAL VOC's colour
    map, which annotation tools write, or the grey of that value.

    Args:
        indices: (H, W), as stored.
        palette: red, green, blue of index 0, of index 1, ...

    Returns:
        (H, W) uint8.

    Raises:
        BadFile: the colours say nothing of the indices, or that they are other ids.
    """
    used = np.unique(indices)
    colours = np.array(palette, np.uint8).reshape(-1, 3)
    if used[-1] < len(colours):
        ids = np.arange(256, dtype=np.uint8)
        for known in (ids_to_colours(ids[None])[0], voc_colours(), np.repeat(ids[:, None], 3, axis=1)):
            if (colours[used] == known[used]).all():
                return indices
    raise BadFile("is a palette map, and its colours do not say that its indices are label ids", _SAVE)


def voc_colours() -> Ids:
    """(256, 3) uint8: the bits of an id, dealt out to red, green and blue from the highest bit down.

    Source: Everingham et al., the PASCAL VOC development kit, VOCdevkit/VOCcode/VOClabelcolormap.m.
    """
    ids = np.arange(256)
    channels = [
        sum((ids >> (3 * step + channel) & 1) << (7 - step) for step in range(8)) for channel in range(3)
    ]
    return np.stack(channels, axis=-1).astype(np.uint8)


def ids_of_few_bits(values: npt.NDArray[np.generic], bits: int) -> Ids:
    """The ids of a grey PNG of 1, 2 or 4 bits a pixel, if they cannot be 8-bit ids made smaller.

    Args:
        values: (H, W) as Pillow gives them: bool, or uint8 spread over 0..255.
        bits: as stored.

    Returns:
        (H, W) uint8 in 0..2**bits - 1.

    Raises:
        BadFile: read as 8 bits, all of them are ids too, and others.
    """
    step = 255 // (2**bits - 1)  # 255, 85 or 17: what 1 is in 8 bits
    ids = values.astype(np.uint8) if values.dtype == bool else values.astype(np.uint8) // np.uint8(step)
    used = np.unique(ids)
    spread = used * step
    if used[-1] > 0 and ((spread < NUM_IDS) | (spread == IGNORE_ID)).all():
        plural = "s" if bits > 1 else ""
        either = f"{used[-1]} may mean id {used[-1]} or, made smaller, id {spread[-1]}"
        raise BadFile(f"has {bits} bit{plural} a pixel, of which {either}", _SAVE)
    return ids
