"""How a photograph is to be turned, as EXIF tells it.

Read here and not by Pillow, which warns of what is wrong elsewhere in EXIF. Source: EXIF 2.32, section 4.6.4
(tag 0x0112), and TIFF 6.0, section 2.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

UPRIGHT = 1
_ORIENTATION, _SHORT = 0x0112, 3


def read_orientation(exif: bytes) -> int:
    """The orientation of EXIF data that begin with the TIFF header: 1..8; 1 where they do not tell."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else UPRIGHT
    except struct.error:
        pass  # cut off: whoever wrote it, it says nothing of pixels
    return UPRIGHT


def turn(image: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Bring pixels upright.

    Args:
        image: (H, W, ...) as stored.
        orientation: 1..8; what is stored at the top left corner lies at the top left (1), top right (2),
            bottom right (3), bottom left (4), left top (5), right top (6), right bottom (7) or left bottom
            (8) of the photograph.

    Returns:
        (H, W, ...), or (W, H, ...) from 5 on.
    """
    if orientation >= 5:
        image = np.swapaxes(image, 0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
