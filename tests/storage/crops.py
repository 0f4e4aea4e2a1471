"""A dataset of samples and crops; in a module of its own, so that a worker that is spawned can import it."""

from __future__ import annotations

from typing import Any

import numpy as np

from storage.arrays import SplitArray


class Crops:
    """As torch's DataLoader takes it: row, sample (H, W, ...), crop (16, 24, ...)."""

    def __init__(self, array: SplitArray) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, row: int) -> tuple[int, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        return row, self.array[row], self.array.crop(row, 3, 5, 16, 24)
