"""Label maps as colours, over photographs, and small panels of them as bytes that a page can hold."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segspade_core.labels import ids_to_colours, void_mask

Pixels = npt.NDArray[np.uint8]
URI_LIMIT_BYTES = 200_000
_RED = (214, 22, 42)


def overlay(image: npt.NDArray[Any], label_ids: npt.NDArray[Any], alpha: float = 0.5) -> Pixels:
    """Lay label colours over a photograph; where the label is void the photograph stays as it is.

    Args:
        image: (H, W, 3) uint8.
        label_ids: (H, W) uint8.
        alpha: weight of the colours, in [0, 1].

    Returns:
        (H, W, 3) uint8.
    """
    if image.shape != (*label_ids.shape, 3):
        raise ValueError(f"image is {image.shape}, label map {label_ids.shape}: they must be the same size")
    mixed = (1 - alpha) * image + alpha * ids_to_colours(label_ids)
    return np.where(void_mask(label_ids)[..., None], image, np.rint(mixed)).astype(np.uint8)


def marked(image: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> Pixels:
    """A pale grey picture, with some of its pixels in red: where two maps of it differ.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) bool.

    Returns:
        (H, W, 3) uint8.
    """
    if image.shape != (*mask.shape, 3):
        raise ValueError(f"image is {image.shape}, mask {mask.shape}: they must be the same size")
    pale = (160 + 0.35 * image.mean(axis=2)).astype(np.uint8)
    return np.where(mask[..., None], np.array(_RED, np.uint8), pale[..., None])


def png(image: npt.NDArray[Any]) -> bytes:
    """(H, W, 3) uint8 image → PNG, lossless."""
    buffer = io.BytesIO()
    # hardly larger than at the highest level, and much sooner
    Image.fromarray(image).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def map_png(label_ids: npt.NDArray[Any]) -> bytes:
    """(H, W) uint8 label ids → PNG of their colours with a palette: crisp edges in few bytes."""
    picture = Image.fromarray(np.ascontiguousarray(label_ids))
    picture.putpalette(ids_to_colours(np.arange(256, dtype=np.uint8)).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def jpeg(image: npt.NDArray[Any], quality: int = 85) -> bytes:
    """(H, W, 3) uint8 image → JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """A JPEG or PNG as an address that holds the picture itself."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def shrink(pixels: npt.NDArray[Any], width: int) -> npt.NDArray[Any]:
    """Make an (H, W, 3) image or (H, W) label map at most `width` wide; labels by nearest, never blended."""
    height, across = pixels.shape[:2]
    if across <= width:
        return pixels
    how = Image.Resampling.NEAREST if pixels.ndim == 2 else Image.Resampling.BOX
    size = (width, max(1, round(height * width / across)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, how))


def sample_panel(rows: Sequence[Sequence[npt.NDArray[Any]]], limit_bytes: int = URI_LIMIT_BYTES) -> str:
    """Photographs and label maps side by side as a data URI for the markdown of a run's page.

    Args:
        rows: of (H, W, 3) uint8 images and (H, W) uint8 label maps, all of one size.
        limit_bytes: the URI gets no longer than this; the panel shrinks until it fits.
    """
    if not rows or not rows[0]:
        raise ValueError("a panel of no pictures: give at least one")
    width, quality = 480, 85
    while True:
        lines = [np.hstack([_coloured(shrink(cell, width)) for cell in row]) for row in rows]
        widest = max(line.shape[1] for line in lines)
        padded = [np.pad(line, ((0, 0), (0, widest - line.shape[1]), (0, 0))) for line in lines]
        uri = data_uri(jpeg(np.vstack(padded), quality))
        if len(uri) <= limit_bytes or width <= 16:
            return uri
        width, quality = width * 3 // 4, 80


def _coloured(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return ids_to_colours(pixels) if pixels.ndim == 2 else pixels
