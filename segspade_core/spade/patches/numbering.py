"""Which pixels of label maps have equal 5x5 patches around them: these get equal numbers, and keep them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# the nine 3x3 patches of a 5x5 patch, each as nine places of its 25
_CORNERS = [5 * row + column for row in range(3) for column in range(3)]
_THREES = [[corner + place for place in _CORNERS] for corner in _CORNERS]
CENTRE = 4  # of the nine places of a 3x3 patch


def windows(codes: Tensor, outside: int) -> Tensor:
    """(B, h, w) int16 codes → (B * h * w, 25): the 5x5 patch at every pixel, `outside` beyond the borders."""
    padded = F.pad(codes, (2, 2, 2, 2), value=outside)
    return padded.unfold(1, 5, 1).unfold(2, 5, 1).reshape(-1, 25)


def parts(patches: Tensor) -> Tensor:
    """(N, 25) → (N * 9, 9): the 3x3 patches in each 5x5 patch, in reading order."""
    return patches[:, torch.tensor(_THREES, device=patches.device)].flatten(0, 1)


class RowNumbers(Protocol):
    """Numbers equal rows alike: 0, 1, ... in the order they were first known."""

    @property
    def count(self) -> int:
        """How many rows are known."""

    def number(self, rows: Tensor) -> Tensor:
        """(N, K) int16 ≥ 0 → (N,) int32; a row met in an earlier call has the number it had."""

    def known(self, start: int = 0) -> Tensor:
        """(count - start, K) int16: the rows from number `start` on."""


class HashedRows:
    """`RowNumbers` by a compiled hash table, for the CPU; any codes, of any range."""

    def __init__(self, width: int) -> None:
        """For rows of `width` codes; ImportError where Numba is not installed, or not for this Python."""
        from segspade_core.spade.patches.kernels import number_rows

        self.count = 0
        self._kernel = number_rows
        self._known = np.empty((0, width), np.int16)
        self._slots = np.empty(0, np.int32)
        # any odd numbers do; the same ones in every run, as all that is random
        self._weights = np.random.default_rng(0).integers(2**63, size=width, dtype=np.uint64) * 2 + 1

    def number(self, rows: Tensor) -> Tensor:
        """As `RowNumbers.number`."""
        self._make_room(self.count + len(rows))
        numbers = np.empty(len(rows), np.int32)
        self._insert(rows.numpy(), numbers)
        return torch.from_numpy(numbers)

    def known(self, start: int = 0) -> Tensor:
        """As `RowNumbers.known`."""
        return torch.from_numpy(self._known[start : self.count])

    def _make_room(self, most: int) -> None:
        if most <= len(self._known):
            return
        before = self._known[: self.count]
        self._known = np.empty((most, before.shape[1]), np.int16)
        # at most half full, so that a search seldom goes further than its first slot
        self._slots = np.full(1 << (2 * most).bit_length(), -1, np.int32)
        self.count = 0
        self._insert(before, np.empty(len(before), np.int32))

    def _insert(self, rows: np.ndarray, numbers: np.ndarray) -> None:
        self.count = self._kernel(rows, self._weights, self._slots, self._known, self.count, numbers)


class SortedRows:
    """`RowNumbers` by sorting, in PyTorch alone, on any device."""

    def __init__(self, width: int, bound: int, device: torch.device) -> None:
        """For rows of `width` codes 0..bound - 1."""
        self._bound = bound
        self._known = torch.empty(0, width, dtype=torch.int16, device=device)

    @property
    def count(self) -> int:
        """How many rows are known."""
        return len(self._known)

    def number(self, rows: Tensor) -> Tensor:
        """As `RowNumbers.number`."""
        before = self.count
        together = torch.cat([self._known, rows])
        keys, count = number_by_sorting(together, self._bound)
        # where each key is met first; known rows come first, so they keep their numbers
        order = torch.arange(len(keys), device=keys.device)
        first = torch.full((count,), len(keys), device=keys.device).scatter_reduce_(0, keys, order, "amin")
        ranks = torch.empty_like(first)
        ranks[first.argsort()] = torch.arange(count, device=keys.device)
        self._known = together[first.sort().values]
        return ranks[keys[before:]].int()

    def known(self, start: int = 0) -> Tensor:
        """As `RowNumbers.known`."""
        return self._known[start:]


def number_by_sorting(rows: Tensor, bound: int) -> tuple[Tensor, int]:
    """Equal rows get equal numbers.

    Args:
        rows: (N, K) integers 0..bound - 1.
        bound: 1 or more.

    Returns:
        (N,) int64 numbers 0..count - 1, and count. Rows whose codes fit one key of 63 bits are sorted once;
        others also each time the key is full, and the key goes on from the numbers found so far.
    """
    key, size = rows[:, 0].long(), bound
    for column in rows.unbind(1)[1:]:
        if size * bound > 2**63:
            found, key = torch.unique(key, return_inverse=True)
            size = len(found)
        key = key * bound + column
        size *= bound
    found, numbers = torch.unique(key, return_inverse=True)
    return numbers, len(found)
