"""What a sample looks like, in numbers: its labels, and how bright, coloured and sharp it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.labels import NUM_IDS

# ITU-R BT.601, as PIL's conversion to grey
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
IMAGE_MEASURES = {
    "brightness": "mean of luma, 0 to 255",
    "contrast": "standard deviation of luma",
    "saturation": "mean of the largest minus the smallest of red, green and blue",
    "sharpness": "mean difference of luma to the next pixel",
}


def image_measures(image: npt.NDArray[np.uint8]) -> dict[str, float]:
    """(H, W, 3) uint8 → the four `IMAGE_MEASURES`, on the scale of 0 to 255."""
    luma = image.astype(np.float32) @ _LUMA  # (H, W)
    steps = np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean()
    span = image.max(axis=2).astype(np.int16) - image.min(axis=2)
    measures = luma.mean(), luma.std(), span.mean(), steps / 2
    return {name: float(value) for name, value in zip(IMAGE_MEASURES, measures, strict=True)}


def label_pixels(label_ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """(H, W) label ids → (35,) int64: pixels of every id, and at last those of none (255)."""
    counts = np.bincount(label_ids.ravel(), minlength=256)
    return np.append(counts[:NUM_IDS], counts[NUM_IDS:].sum())


def label_columns() -> list[str]:
    """Names of the columns that a table of samples has for `label_pixels`."""
    return [f"pixels_{label:02}" for label in range(NUM_IDS)] + ["pixels_none"]


def sample_row(image: npt.NDArray[np.uint8], label_ids: npt.NDArray[np.uint8] | None) -> dict[str, Any]:
    """All measures of one sample, by column; without labels, those of the image alone."""
    row: dict[str, Any] = dict(image_measures(image))
    if label_ids is not None:
        row |= dict(zip(label_columns(), label_pixels(label_ids).tolist(), strict=True))
    return row
