"""Milliseconds of CPU per confusion matrix of a 2048x1024 map, beside the plain ways of doing it.

Run: .venv/bin/python benchmarks/confusion.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from segspade_core.labels import IGNORE_ID, NUM_IDS, void_mask
from segspade_core.metrics.confusion import confusion_matrix


def masked_bincount(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The textbook's way: mask void, then count 64-bit keys."""
    kept = ~void_mask(target)
    key = target[kept].astype(np.int64) * NUM_IDS + predicted[kept]
    return np.bincount(key, minlength=NUM_IDS**2).reshape(NUM_IDS, NUM_IDS)


def histogram(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """np.histogram2d, as much evaluation code has it."""
    kept = ~void_mask(target)
    edges = np.arange(NUM_IDS + 1)
    return np.histogram2d(target[kept], predicted[kept], bins=(edges, edges))[0].astype(np.int64)


def milliseconds(function: Callable[..., np.ndarray], *maps: np.ndarray, repeats: int = 5) -> float:
    """The best of some runs: the one that other work disturbed least."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        function(*maps)
        times.append(time.process_time() - started)
    return 1000 * min(times)


def main() -> None:
    rng = np.random.default_rng(0)
    target = np.repeat(np.repeat(rng.integers(0, NUM_IDS, (32, 64), dtype=np.uint8), 32, 0), 32, 1)
    target[:64] = IGNORE_ID
    predicted = np.where(rng.random(target.shape) < 0.9, target, 7).astype(np.uint8)
    predicted[predicted == IGNORE_ID] = 0
    ours = milliseconds(confusion_matrix, target, predicted)
    print(f"confusion_matrix {ours:8.1f} ms")
    for peer in (masked_bincount, histogram):
        np.testing.assert_array_equal(confusion_matrix(target, predicted), peer(target, predicted))
        theirs = milliseconds(peer, target, predicted)
        print(f"{peer.__name__:16} {theirs:8.1f} ms  {theirs / ours:.1f}x ours")


if __name__ == "__main__":
    main()
