"""One photograph with what is known about its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Sample:
    """A photograph and its maps, all of one size (H, W)."""

    image: npt.NDArray[np.uint8]  # (H, W, 3), red green blue, 0..255
    label_ids: npt.NDArray[np.uint8] | None = None  # (H, W), Cityscapes ids 0..33, or 255; None: unlabelled
    instance_ids: npt.NDArray[np.uint16] | None = None  # (H, W), id, or id * 1000 + k for the k-th object
