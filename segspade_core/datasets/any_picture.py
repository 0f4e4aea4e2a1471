"""Pictures of whatever kind people have → pixels: photographs in any format, label maps of ids or colours.

A source of thousands is held to PNG and JPEG of 8 bits (`pixels`), so that nothing is guessed unseen. Here
one picture is looked at, and its owner looks on.
"""

from __future__ import annotations

import io
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from segspade_core.datasets import png
from segspade_core.datasets.files import BadFile
from segspade_core.datasets.pixels import decode_label_ids
from segspade_core.labels import IGNORE_ID, NUM_IDS, colours_to_ids

MIN_SIDE_PX = 8
# twice what Pillow warns of, and more than any camera has: beyond, it refuses too
MAX_PIXELS = 178_956_970
_AGAIN = "Open it with another program, and save it as PNG or JPEG"
# some start programs, some hold no pixels that Pillow could read by itself
_NOT_TRIED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
_SHOWN = 3


def decode_any_photograph(content: bytes) -> npt.NDArray[np.uint8]:
    """A picture in any format that Pillow reads, the first one where there are several.

    Returns:
        (H, W, 3) uint8, upright as EXIF tells. Grey is repeated, a palette looked up, CMYK converted, alpha
        dropped; of 16 bits a channel the upper 8 stay.

    Raises:
        BadFile: it is no such file, not whole, or smaller or larger than a photograph.
    """
    if not content:
        raise BadFile("is empty", "Download or export it again")
    try:
        with warnings.catch_warnings():
            # of what is odd in EXIF and other notes: pixels are what is asked for
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=_formats()) as opened:
                _check_size(opened.height, opened.width)
                opened.load()
                upright = ImageOps.exif_transpose(opened)
                return np.ascontiguousarray(_rgb(upright))
    except BadFile:
        raise
    except Image.UnidentifiedImageError:
        raise BadFile("is in no format of pictures that is known here", _AGAIN) from None
    except Image.DecompressionBombError:
        raise _too_large("more pixels than any camera takes") from None
    except Exception as error:  # decoders raise whatever befalls them: OSError, SyntaxError, struct.error ...
        cut = "is cut off" if "truncated" in str(error) else "cannot be decoded (its pixels make no sense)"
        raise BadFile(cut, "Download or export it again") from error


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _NOT_TRIED))


def _check_size(height: int, width: int) -> None:
    if min(height, width) < MIN_SIDE_PX:
        what = f"is {height}x{width} pixels, too small for a photograph"
        raise BadFile(what, f"Give one whose sides are at least {MIN_SIDE_PX} pixels")
    if height * width > MAX_PIXELS:
        raise _too_large(f"{height}x{width} pixels, more than the {MAX_PIXELS} allowed")


def _too_large(what: str) -> BadFile:
    return BadFile(
        f"would unpack to {what} (a bomb?)", "If it is a real photograph, make it smaller; if not, delete it"
    )


def _rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    if image.mode.startswith("I;16"):
        return _repeated(np.asarray(image).astype(np.uint16) >> 8)
    if image.mode == "I":
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 65535:
            raise BadFile(
                "has whole numbers of 32 bits, which are no brightness", "Save it with 8 bits a channel"
            )
        return _repeated(grey >> 8)
    if image.mode == "F":
        raise BadFile("has floating-point pixels, whose range nobody tells", "Save it with 8 bits a channel")
    return np.asarray(image.convert("RGB"))


def _repeated(grey: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def decode_any_label_map(content: bytes) -> npt.NDArray[np.uint8]:
    """A PNG of label ids, or one of their official colours, alpha or palette included.

    Returns:
        (H, W) uint8 label ids 0..33, or 255.

    Raises:
        BadFile: it is no such file, or holds ids or colours that the table of labels lacks.
    """
    coloured = content.startswith(png.SIGNATURE) and png.read_header(content).colour_type != png.GREY
    try:
        label_ids = decode_label_ids(content)
    except BadFile as error:
        if not coloured:
            raise
        label_ids = _ids_of_colours(decode_any_photograph(content), error)
    if min(label_ids.shape) < MIN_SIDE_PX:
        what = f"is {label_ids.shape[0]}x{label_ids.shape[1]} pixels, too small for a label map"
        raise BadFile(what, f"Give one whose sides are at least {MIN_SIDE_PX} pixels")
    strange = np.unique(label_ids[(label_ids >= NUM_IDS) & (label_ids != IGNORE_ID)])
    if strange.size:
        raise BadFile(
            f"has label id {', '.join(map(str, strange[:_SHOWN]))}{' and more' * (strange.size > _SHOWN)}, "
            f"and the table of labels has 0..{NUM_IDS - 1} and 255",
            "Write 255 where it means void; if these are no ids but brightness, save its colours instead",
        )
    return label_ids


def is_label_map(content: bytes) -> bool:
    """Whether every pixel of a PNG is one of the table's ids or official colours: hardly a photograph."""
    if not content.startswith(png.SIGNATURE):
        return False
    try:
        if png.read_header(content).colour_type == png.GREY:
            label_ids = decode_label_ids(content)
            return bool(np.all((label_ids < NUM_IDS) | (label_ids == IGNORE_ID)))
        return not (colours_to_ids(decode_any_photograph(content)) == IGNORE_ID).any()
    except BadFile:
        return False


def _ids_of_colours(colours: npt.NDArray[np.uint8], as_ids: BadFile) -> npt.NDArray[np.uint8]:
    label_ids = colours_to_ids(colours)
    strange = colours[label_ids == IGNORE_ID]
    if not strange.size:
        return label_ids
    if as_ids.what.startswith("has an alpha"):
        raise as_ids
    found, counts = np.unique(strange, axis=0, return_counts=True)
    often = [tuple(map(int, found[index])) for index in np.argsort(-counts, kind="stable")[:_SHOWN]]
    raise BadFile(
        f"has {len(found):,} colour{'s' * (len(found) > 1)} that the table of labels lacks, such as "
        f"{', '.join(map(str, often))}, at {len(strange):,} of {label_ids.size:,} pixels",
        "Use the official colours of Cityscapes without smoothing, or a grey PNG of label ids",
    )
