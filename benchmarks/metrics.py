"""Milliseconds of CPU per pair of 2048x1024 maps, on one thread: confusion matrix beside peers, and the rest.

Every way counts the same maps in turn, round by round; medians, and ratios of them, all from one run. The
predictions are the true maps shifted by some pixels (as a segmenter errs, along edges), with one pixel in
twenty replaced at random, or nothing but noise (the worst case). The official path is that of the Cityscapes
evaluation in NumPy: one number for each pair, and np.unique.

    python benchmarks/metrics.py [--labels DIR] [--maps 4] [--rounds 7]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt
from torchmetrics.functional.classification import multiclass_confusion_matrix

from segspade_core.config import MinicityConfig
from segspade_core.datasets.minicity import draw_frame
from segspade_core.errors import InputError
from segspade_core.labels import NUM_IDS
from segspade_core.metrics.boundaries import boundary_map, tolerance_px
from segspade_core.metrics.calibration import reliability
from segspade_core.metrics.class_boundaries import boundary_counts
from segspade_core.metrics.confusion import confusion_matrix
from segspade_core.metrics.counting import count_pairs_by_numpy
from segspade_core.metrics.instance_iou import instance_recalls

HEIGHT, WIDTH = 1024, 2048
Pair = tuple[np.ndarray, np.ndarray]
Way = Callable[[np.ndarray, np.ndarray], object]


def true_maps(labels: Path | None, count: int) -> list[np.ndarray]:
    """(H, W) uint8 label ids of a folder's PNGs, or of Minicity, in double its sides."""
    if labels is None:
        config = MinicityConfig(train=count, val=0, size=(HEIGHT // 2, WIDTH // 2))
        drawn = [draw_frame(config, "train", index).sample.label_ids for index in range(count)]
        return [ids.repeat(2, axis=0).repeat(2, axis=1) for ids in drawn]
    files = sorted(labels.glob("*labelIds.png"))[:count]
    if not files:
        raise InputError(f"{labels}: no such folder, or no *labelIds.png in it")
    return [np.array(Image.open(file)) for file in files]


def predictions(maps: list[np.ndarray]) -> dict[str, list[Pair]]:
    """What each kind of prediction makes of the maps."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, NUM_IDS, ids.shape, dtype=np.uint8) for ids in maps]
    shifted = [np.roll(ids, (3, 5), (0, 1)) for ids in maps]
    speckled = [
        np.where(rng.random(ids.shape) < 0.95, ids, other) for ids, other in zip(shifted, noise, strict=True)
    ]
    return {
        "shifted": list(zip(maps, shifted, strict=True)),
        "speckled": list(zip(maps, speckled, strict=True)),
        "noise": list(zip(noise, noise[::-1], strict=True)),
    }


def bincount(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The textbook's way: one 64-bit key a pixel."""
    key = target.ravel().astype(np.int64) * NUM_IDS + predicted.ravel()
    return np.bincount(key, minlength=NUM_IDS**2).reshape(NUM_IDS, NUM_IDS)


def bincount_16_bit(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """What is used where Numba is not."""
    return count_pairs_by_numpy(target.ravel(), predicted.ravel(), NUM_IDS)[:NUM_IDS, :NUM_IDS]


def torch_bincount(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The textbook's way in PyTorch."""
    key = torch.from_numpy(target).ravel().long() * NUM_IDS + torch.from_numpy(predicted).ravel()
    return torch.bincount(key, minlength=NUM_IDS**2).view(NUM_IDS, NUM_IDS).numpy()


def encode_and_unique(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The official path without its compiled extension."""
    base = int(max(target.max(), predicted.max())) + 1
    values, counts = np.unique(target.astype(np.int32) * base + predicted, return_counts=True)
    matrix = np.zeros((NUM_IDS, NUM_IDS), np.int64)
    matrix[values // base, values % base] = counts
    return matrix


def torchmetrics(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The library's confusion matrix, which its JaccardIndex is made of."""
    maps = torch.from_numpy(predicted).long(), torch.from_numpy(target).long()
    return multiclass_confusion_matrix(*maps, num_classes=NUM_IDS).numpy()


def distance_transforms(target: np.ndarray, predicted: np.ndarray) -> list[int]:
    """Matched boundaries of each class by two distance transforms of the whole image."""
    matched, reach_px = [], tolerance_px((HEIGHT, WIDTH), 0.0075)
    for label in np.union1d(target, predicted).tolist():
        pair = boundary_map(target == label), boundary_map(predicted == label)
        for these, those in (pair, pair[::-1]):
            near = distance_transform_edt(~those) <= reach_px if those.any() else those
            matched.append(int(np.count_nonzero(these & near)))
    return matched


def ours(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """As evaluation calls it, checks and all."""
    return confusion_matrix(target, predicted, NUM_IDS)


def measure(ways: dict[str, Way], pairs: list[Pair], rounds: int) -> dict[str, float]:
    """Median milliseconds of CPU of each way, by name; every way gets every pair in every round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for target, predicted in pairs:
            for name, way in ways.items():
                started = time.process_time()
                way(target, predicted)
                if turn:  # the first compiles, and fills caches
                    times[name].append(time.process_time() - started)
    return {name: 1000 * median(values) for name, values in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, help="folder of *labelIds.png of 2048x1024; Minicity without")
    parser.add_argument("--maps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    maps = true_maps(asked.labels, asked.maps)
    cases = predictions(maps)

    ways: dict[str, Way] = {
        "ours": ours,
        "bincount, 16-bit key": bincount_16_bit,
        "np.bincount": bincount,
        "torch.bincount": torch_bincount,
        "official (np.unique)": encode_and_unique,
        "torchmetrics": torchmetrics,
    }
    for pairs in cases.values():
        for way in ways.values():
            # the same numbers, or the comparison is of nothing
            np.testing.assert_array_equal(way(*pairs[0]), ours(*pairs[0]))
    found = {kind: measure(ways, pairs, asked.rounds) for kind, pairs in cases.items()}
    print(f"{'confusion matrix':22}" + "".join(f"{kind:>20}" for kind in found))
    for name in ways:
        cells = [f"{times[name]:9.2f} ms {times[name] / times['ours']:6.1f}x" for times in found.values()]
        print(f"{name:22}" + "".join(f"{cell:>20}" for cell in cells))

    instance_ids = [np.where(ids >= 24, ids.astype(np.uint16) * 1000, ids) for ids in maps]
    confidence = np.random.default_rng(0).random(maps[0].shape, dtype=np.float32)
    others: dict[str, Way] = {
        "instance recalls": lambda target, predicted: instance_recalls(instance_ids[0], predicted),
        "reliability histogram": lambda target, predicted: reliability(confidence, target == predicted),
        "class boundaries": lambda target, predicted: boundary_counts(target, predicted, NUM_IDS),
        "by distance transforms": distance_transforms,
    }
    times = measure(others, cases["shifted"][:2], 2)
    print("\nthe rest, on shifted maps")
    for name, value in times.items():
        print(f"{name:22}{value:9.1f} ms")
    ratio = times["by distance transforms"] / times["class boundaries"]
    print(f"boundaries: distance transforms / ours {ratio:.1f}")


if __name__ == "__main__":
    main()
