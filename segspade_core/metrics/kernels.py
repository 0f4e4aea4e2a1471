"""The Numba kernels that count pairs of classes and match their boundaries, compiled where they run."""

from __future__ import annotations

from typing import Any

import numpy as np

from segspade_core.compiled import compiled

_BLOCK = 64  # pixels that are compared, and whose keys are made, by a few vector instructions
_TALLIES = 8  # more than fit the first cache with all pairs of 34 classes, which no real maps have


@compiled
def count_pairs(target: Any, prediction: Any, num_classes: int, total: Any) -> None:
    """Add one for every pixel at target * (num_classes + 1) + min(prediction, num_classes).

    Maps are made of areas: most blocks hold one pair only, and are counted at once. In the others neighbours
    go into counts of their own, since a count that was written last must first reach the cache to be read.

    Args:
        target, prediction: (N,) uint8, contiguous, N at most 2**32 - 1: the counts have 32 bits.
        num_classes: C, at most 255, so that keys are 16 bits wide.
        total: (256 * (C + 1),) int64, added to.
    """
    counts = np.zeros((_TALLIES, total.size), np.uint32)
    columns, none = np.uint16(num_classes + 1), np.uint8(num_classes)
    keys = np.empty(_BLOCK, np.uint16)
    whole = target.size // _BLOCK * _BLOCK
    for start in range(0, whole, _BLOCK):
        first, second = target[start], prediction[start]
        unlike = np.uint8(0)
        for k in range(_BLOCK):
            unlike |= (target[start + k] ^ first) | (prediction[start + k] ^ second)
        if unlike == 0:
            counts[0, np.uint16(first) * columns + min(second, none)] += np.uint32(_BLOCK)
            continue
        for k in range(_BLOCK):
            key = np.uint16(np.uint16(target[start + k]) * columns)
            keys[k] = key + np.uint16(min(prediction[start + k], none))
        for k in range(0, _BLOCK, _TALLIES):
            counts[0, keys[k]] += np.uint32(1)
            counts[1, keys[k + 1]] += np.uint32(1)
            counts[2, keys[k + 2]] += np.uint32(1)
            counts[3, keys[k + 3]] += np.uint32(1)
            counts[4, keys[k + 4]] += np.uint32(1)
            counts[5, keys[k + 5]] += np.uint32(1)
            counts[6, keys[k + 6]] += np.uint32(1)
            counts[7, keys[k + 7]] += np.uint32(1)
    for n in range(whole, target.size):
        counts[0, np.uint16(target[n]) * columns + min(prediction[n], none)] += np.uint32(1)
    for at in range(total.size):
        for k in range(_TALLIES):
            total[at] += np.int64(counts[k, at])


@compiled
def mark_boundaries(ids: Any, known: Any, classes: Any, marks: Any) -> None:
    """Set the bits of both classes on both sides of every change between 4-neighbours that are known.

    Args:
        ids: (H, W) uint8.
        known: (H, W) bool.
        classes: (256,) uint64: the bit of each id, 0 for what is no class.
        marks: (H, W) uint64 of zeros, written.
    """
    height, width = ids.shape
    for y in range(height):
        for x in range(width):
            if not known[y, x]:
                continue
            if y + 1 < height and known[y + 1, x] and ids[y, x] != ids[y + 1, x]:
                both = classes[ids[y, x]] | classes[ids[y + 1, x]]
                marks[y, x] |= both
                marks[y + 1, x] |= both
            if x + 1 < width and known[y, x + 1] and ids[y, x] != ids[y, x + 1]:
                both = classes[ids[y, x]] | classes[ids[y, x + 1]]
                marks[y, x] |= both
                marks[y, x + 1] |= both


@compiled
def match_boundaries(these: Any, those: Any, reach: Any, count: Any, matched: Any) -> None:
    """Count the marks of each class, and those with one of the other map within reach.

    Args:
        these, those: (H, W) uint64 from `mark_boundaries`.
        reach: (K, 2) int64: steps (y, x) that are within the tolerance, the nearest first: most marks meet
            theirs after a few.
        count, matched: (C,) int64, added to.
    """
    height, width = these.shape
    none, one = np.uint64(0), np.uint64(1)
    for y in range(height):
        for x in range(width):
            marks = these[y, x]
            if marks == none:
                continue
            alone = marks
            for k in range(len(reach)):
                row, column = y + reach[k, 0], x + reach[k, 1]
                if 0 <= row < height and 0 <= column < width:
                    alone &= ~those[row, column]
                    if alone == none:
                        break
            for label in range(len(count)):
                bit = one << np.uint64(label)
                if marks & bit:
                    count[label] += 1
                    if not alone & bit:
                        matched[label] += 1
