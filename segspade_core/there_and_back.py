"""One picture at a time: photograph → label map → painting → label map, without a dataset around it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segspade_core.config import GeneratorArchitecture, PaintConfig
from segspade_core.datasets.resize import resize_area, resize_nearest
from segspade_core.errors import InputError
from segspade_core.labels import void_mask
from segspade_core.metrics.cycle import agreement
from segspade_core.segmentation import Segmenter, predict
from segspade_core.spade import Painter, SpadeGenerator, StyleEncoder, painting_codes

Pixels = npt.NDArray[np.uint8]


def working_size(size: tuple[int, int], architecture: GeneratorArchitecture, pixels: int) -> tuple[int, int]:
    """The size that a picture is worked on at: its shape as nearly as the generator's strides allow.

    Args:
        size: (H, W) of the picture.
        architecture: of the generator, which paints multiples of 2**upsamplings, or one size alone.
        pixels: about how many there are to be: as many as the models were trained on.

    Returns:
        (h, w). What is a hundred times as long as it is high gets a little shorter.
    """
    step = 2**architecture.upsamplings
    if architecture.linear_head is not None:
        return architecture.linear_head[0] * step, architecture.linear_head[1] * step
    scale = math.sqrt(pixels / (size[0] * size[1]))
    most = max(step, pixels // step // step * step)
    height, width = (min(most, max(step, round(side * scale / step) * step)) for side in size)
    return height, width


@dataclass(frozen=True)
class PictureModels:
    """A segmenter and a generator that are ready.

    Attributes:
        segmenter, device: it is there, or is moved there.
        generator, style_encoder: on the CPU; the encoder None where the generator knows no styles.
        painter: of the generator.
        pixels: of the pictures that they were trained on.
    """

    segmenter: Segmenter
    device: torch.device
    generator: SpadeGenerator
    style_encoder: StyleEncoder | None
    painter: Painter
    pixels: int

    def size_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of a picture → (h, w) that it is worked on at."""
        return working_size(size, self.generator.architecture, self.pixels)

    def check_size(self, size: tuple[int, int]) -> None:
        """Raise InputError, with the nearest size, unless the generator can paint (h, w)."""
        nearest = working_size(size, self.generator.architecture, size[0] * size[1])
        if nearest != size:
            asked, better = (f"{height}x{width}" for height, width in (size, nearest))
            raise InputError(f"size {asked}: the generator cannot paint it; the nearest it can is {better}")

    def segment(self, photograph: Pixels) -> Pixels:
        """(H, W, 3) uint8 → (H, W) uint8 label ids."""
        return predict(self.segmenter, photograph[None], self.device)[0]

    def code(self, config: PaintConfig, style_image: Pixels | None = None) -> Tensor | None:
        """(Z,) to paint by; None for a generator without code.

        Args:
            config: what is asked; what it leaves open is the mean.
            style_image: (H, W, 3) uint8, for the style 'image:…'.

        Raises:
            InputError: the generator knows no such style, city or time of day.
        """
        codes = painting_codes(self.generator, self.style_encoder, config, {}, 1, style_image)
        return None if codes is None else codes[0]

    def paint(self, label_ids: Pixels, code: Tensor | None) -> Pixels:
        """(H, W) uint8 label ids → (H, W, 3) uint8. Instances are the connected components of a class.

        Raises:
            InputError: the generator cannot paint this size, or has no channel for an id.
        """
        return self.painter.paint(label_ids, None, code)


@dataclass(frozen=True, eq=False)
class ThereAndBack:
    """All that becomes of one picture; images (h, w, 3) uint8, maps (h, w) uint8 label ids.

    Attributes:
        photograph: None where it began with a label map.
        first, painting, second: the map, what was painted from it, and the map that was read off that.
        agreement: of the two maps; see `metrics.cycle.agreement`.
    """

    photograph: Pixels | None
    first: Pixels
    painting: Pixels
    second: Pixels
    agreement: dict[str, float]

    @property
    def disagreement(self) -> npt.NDArray[np.bool_]:
        """(h, w) bool: where the maps differ; not where the first says that nobody knows."""
        return (self.first != self.second) & ~void_mask(self.first)


def of_photograph(
    models: PictureModels, photograph: Pixels, size: tuple[int, int], code: Tensor | None
) -> ThereAndBack:
    """Segment, paint, and segment again.

    Args:
        photograph: (H, W, 3) uint8.
        size: (h, w) to work at.
        code: of `PictureModels.code`.

    Raises:
        InputError: the generator cannot paint this size.
    """
    resized = np.array(resize_area(photograph, size))  # Pillow's own memory cannot be written, nor lent
    return _and_back(models, resized, models.segment(resized), code)


def of_label_map(
    models: PictureModels, label_ids: Pixels, size: tuple[int, int], code: Tensor | None
) -> ThereAndBack:
    """Paint, and segment: (H, W) uint8 label ids or 255; the rest as of a photograph."""
    return _and_back(models, None, resize_nearest(label_ids, size), code)


def _and_back(
    models: PictureModels, photograph: Pixels | None, first: Pixels, code: Tensor | None
) -> ThereAndBack:
    painting = models.paint(first, code)
    second = models.segment(painting)
    return ThereAndBack(photograph, first, painting, second, agreement(first, second))
