"""Random changes of training samples: zoom and crop, flip, and colour.

What is drawn for a sample depends on its generator alone, so that a resumed training sees the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from segspade_core.config import AugmentConfig
from segspade_core.labels import IGNORE_ID

# ImageNet's mean colour: what lies outside the frame is as near to nothing as the encoder knows
_OUTSIDE = (124, 116, 104)
# ITU-R BT.601, as torchvision and Pillow turn colours into grey
_LUMA = (0.299, 0.587, 0.114)

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """An augmented sample; the colour change is left to the device, where it costs least."""

    image: Pixels  # (h, w, 3)
    label_ids: Pixels  # (h, w)
    colour: npt.NDArray[np.float32]  # (3, 4), for apply_colours


def augment(image: Pixels, label_ids: Pixels, config: AugmentConfig, random: np.random.Generator) -> Sample:
    """Draw one variant of a sample.

    Args:
        image: (H, W, 3) uint8.
        label_ids: (H, W) uint8.

    Returns:
        A sample of the crop's size, or of the frame's where there is no crop. Where the crop reaches out of
        the frame the labels are 255 and the image is ImageNet's mean colour.
    """
    image, label_ids = _zoom_and_crop(image, label_ids, config, random)
    if random.random() < config.flip:
        image, label_ids = _mirrored(image), _mirrored(label_ids)
    factors = [
        1 + strength * random.uniform(-1, 1)
        for strength in (config.brightness, config.contrast, config.saturation)
    ]
    return Sample(image, label_ids, colour_change(image, *factors))


def _zoom_and_crop(
    image: Pixels, label_ids: Pixels, config: AugmentConfig, random: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Cut a window whose size is the crop's divided by the zoom, and bring it to the crop's size."""
    size = config.crop or image.shape[:2]
    zoom = random.uniform(*config.scale)
    if zoom == 1 and size == image.shape[:2]:
        return image, label_ids
    spans = [_span(frame, side, zoom, random) for frame, side in zip(image.shape[:2], size, strict=True)]
    (top, bottom, above, height), (left, right, before, width) = spans
    part, ids = image[top:bottom, left:right], label_ids[top:bottom, left:right]
    if (height, width) != part.shape[:2]:
        part, ids = resize(part, ids, height, width)
    if (height, width) == tuple(size):
        return part, ids
    whole = np.empty((*size, 3), np.uint8)
    whole[:] = _OUTSIDE
    whole_ids = np.full(size, IGNORE_ID, np.uint8)
    whole[above : above + height, before : before + width] = part
    whole_ids[above : above + height, before : before + width] = ids
    return whole, whole_ids


def _span(frame: int, side: int, zoom: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Along one axis: start and stop in the frame, start and length in the crop."""
    window = max(1, round(side / zoom))
    if window <= frame:
        start = int(random.integers(frame - window + 1))
        return start, start + window, 0, side
    # the whole frame lies somewhere in the crop
    length = min(side, max(1, round(frame * zoom)))
    return 0, frame, int(random.integers(side - length + 1)), length


def resize(image: Pixels, label_ids: Pixels, height: int, width: int) -> tuple[Pixels, Pixels]:
    """(H, W, 3) and (H, W) → (height, width, 3) by bilinear with antialiasing, and ids by nearest.

    Nearest by pixel centres ('nearest-exact'), as bilinear lies: plain 'nearest' would shift the labels by
    half a pixel against the image.
    """
    planes = _tensor(image).permute(2, 0, 1)[None]
    ids = _tensor(label_ids)[None, None]
    planes = F.interpolate(planes, (height, width), mode="bilinear", align_corners=False, antialias=True)
    ids = F.interpolate(ids, (height, width), mode="nearest-exact")
    return planes[0].permute(1, 2, 0).contiguous().numpy(), ids[0, 0].numpy()


def _mirrored(pixels: Pixels) -> Pixels:
    """(H, W, …) left to right, by torch: NumPy takes twenty times as long for pixels of three bytes."""
    return _tensor(pixels).flip(1).numpy()


def _tensor(pixels: Pixels) -> Tensor:
    # torch takes neither negative strides nor, without a warning, memory that is not to be written to
    return torch.from_numpy(np.require(pixels, requirements=["C", "W"]))


def colour_change(
    image: Pixels, brightness: float, contrast: float, saturation: float
) -> npt.NDArray[np.float32]:
    """The matrix of torchvision's adjust_brightness, adjust_contrast and adjust_saturation, in this order.

    Each is linear in the colours once the mean grey is known, so one matrix does all three. We depart from
    torchvision in that values are clamped once at the end, not after each.

    Args:
        image: (H, W, 3) uint8; its mean grey is what contrast turns about.
        brightness: factor; 1 changes nothing, as for the others.

    Returns:
        (3, 4) float32: colours in [0, 1] become `matrix[:, :3] @ colour + matrix[:, 3]`.
    """
    luma = np.array(_LUMA)
    grey = np.tile(luma, (3, 1))
    offset = np.zeros(3)
    if contrast != 1:
        mean = _sums(image) / (image.size // 3) / 255 * brightness
        offset += (1 - contrast) * (luma @ mean)
    mix = saturation * np.eye(3) + (1 - saturation) * grey
    return np.column_stack([brightness * contrast * mix, mix @ offset]).astype(np.float32)


def _sums(image: Pixels) -> npt.NDArray[np.float64]:
    """(H, W, 3) → (3,) sums of all pixels, exact; down whole rows, which is ten times as fast as by pixel."""
    rows = image.reshape(len(image), -1).sum(axis=0, dtype=np.uint32)
    return rows.reshape(-1, 3).sum(axis=0, dtype=np.float64)


def apply_colours(images: Tensor, colours: Tensor) -> Tensor:
    """Change the colours of a batch.

    Args:
        images: (B, H, W, 3) uint8.
        colours: (B, 3, 4) float32 from `colour_change`.

    Returns:
        (B, 3, H, W) float32 in [0, 1], channels last in memory.
    """
    batch, height, width, _ = images.shape
    pixels = images.reshape(batch, -1, 3).float()
    changed = torch.baddbmm(colours[:, None, :, 3], pixels, colours[:, :, :3].transpose(1, 2) / 255)
    return changed.clamp_(0, 1).view(batch, height, width, 3).permute(0, 3, 1, 2)
