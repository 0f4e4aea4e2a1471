"""The usual PNGs by a faster decoder than Pillow, which takes all others.

imagecodecs calls libpng, which refuses what is not whole; its sibling spng does not read 16-bit maps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.datasets import png

# colour type and bits → what the pixels are: of photographs, of label maps and of instance maps
_FORMS: dict[tuple[int, int], tuple[tuple[int, ...], type[np.generic]]] = {
    (png.RGB, 8): ((3,), np.uint8),
    (png.GREY, 8): ((), np.uint8),
    (png.GREY, 16): ((), np.uint16),
}


def decode_plain(content: bytes, header: png.Header) -> npt.NDArray[Any] | None:
    """Pixels of a PNG that is neither interlaced nor of an odd form.

    Args:
        content: a PNG of which only the chunks that pixels need are left.
        header: its own, of a size that is allowed.

    Returns:
        (H, W, 3) uint8, (H, W) uint8 or (H, W) uint16; None when it is another PNG, or cannot be decoded:
        what is wrong with it is for a slower decoder to say.
    """
    form = _FORMS.get((header.colour_type, header.bits))
    if form is None or header.interlaced:
        return None
    try:
        import imagecodecs

        pixels = np.asarray(imagecodecs.png_decode(content))
    except (ImportError, RuntimeError, ValueError):
        return None
    channels, dtype = form
    expected = (header.height, header.width, *channels)
    return pixels if pixels.shape == expected and pixels.dtype == dtype else None
