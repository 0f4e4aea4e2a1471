"""Samples and crops through torch's DataLoader, in an interpreter of its own.

A worker forked out of a test runner, with its threads and other tests' children, once ended with status 1.

    python crops.py SPLIT fork|spawn
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from storage.arrays import SplitArray, open_split


class Crops:
    """A dataset as the loader takes it: row, sample (H, W, ...), crop (16, 24, ...)."""

    def __init__(self, array: SplitArray) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, row: int) -> tuple[int, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        return row, self.array[row], self.array.crop(row, 3, 5, 16, 24)


def rows_that_workers_read(path: Path, start: str) -> list[int]:
    """The rows that two workers read as their parent did, sorted."""
    from torch.utils.data import DataLoader

    array = open_split(path)["image"]
    whole = array[:]  # read before the fork: what a fork copies is in use
    loader = DataLoader(
        Crops(array), batch_size=4, shuffle=True, num_workers=2, multiprocessing_context=start, timeout=120
    )
    seen: list[int] = []
    for rows, samples, crops in loader:
        seen += rows.tolist()
        np.testing.assert_array_equal(samples.numpy(), whole[rows])
        np.testing.assert_array_equal(crops.numpy(), whole[rows, 3:19, 5:29])
    return sorted(seen)


if __name__ == "__main__":
    print(rows_that_workers_read(Path(sys.argv[1]), sys.argv[2]))
