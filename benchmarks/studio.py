"""Seconds from a brush stroke to its painting, as the studio takes them, with tables kept and without.

The same strokes are painted both ways in turns; the map of a drawn street gets twenty strokes of a brush of
nine pixels. The published generator is of random weights, which cost as much as learned ones.

    python benchmarks/studio.py
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from segspade_core.config import GeneratorArchitecture, MinicityConfig
from segspade_core.datasets.minicity import draw_frame
from segspade_core.shipped import shipped_weights
from segspade_core.spade import Painter, SpadeGenerator, load_generator

SIZES = ((128, 256), (256, 512))
BRUSH_PX = 9


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strokes", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    generators = {"shipped": load_generator(shipped_weights("minicity")[0]), "published size": published()}
    print("| generator | size | first, s | stroke, tables kept, s | stroke, none kept, s | ratio |")
    print("|---|---|---|---|---|---|")
    for name, generator in generators.items():
        for size in SIZES:
            first, kept, anew = measure(generator, size, asked.strokes)
            ratio = statistics.median(a / b for a, b in zip(kept, anew, strict=True))
            print(
                f"| {name} | {size[0]}x{size[1]} | {first:.2f} | {statistics.median(kept):.2f} "
                f"| {statistics.median(anew):.2f} | {ratio:.2f} |",
                flush=True,
            )


def published() -> SpadeGenerator:
    """The architecture of the published Cityscapes generator."""
    torch.manual_seed(0)
    return SpadeGenerator(GeneratorArchitecture()).eval()


def measure(
    generator: SpadeGenerator, size: tuple[int, int], strokes: int
) -> tuple[float, list[float], list[float]]:
    """Seconds of the first painting, and of each stroke with tables kept and without."""
    label_ids = draw_frame(MinicityConfig(train=1, val=0, size=size), "train", 0).sample.label_ids
    assert label_ids is not None
    painters = {keep: Painter(generator, keep_tables=keep) for keep in (True, False)}
    painters[False].paint(label_ids)  # whatever is compiled, is compiled now
    first = timed(painters[True], label_ids)
    random = np.random.default_rng(0)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(strokes):
        label_ids = stroked(label_ids, random)
        for keep, painter in painters.items():
            taken[keep].append(timed(painter, label_ids))
    return first, taken[True], taken[False]


def timed(painter: Painter, label_ids: np.ndarray) -> float:
    """Seconds of one painting."""
    began = time.perf_counter()
    painter.paint(label_ids)
    return time.perf_counter() - began


def stroked(label_ids: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The map with a line of one class, a fifth as long as the map is wide."""
    height, width = label_ids.shape
    changed = label_ids.copy()
    y, x = random.integers(0, height), random.integers(0, width)
    angle, label_id = random.uniform(0, np.pi), random.integers(7, 34)
    for step in np.linspace(0, width / 5, width):
        at = int(y + step * np.sin(angle)), int(x + step * np.cos(angle))
        top, left = max(0, at[0] - BRUSH_PX // 2), max(0, at[1] - BRUSH_PX // 2)
        changed[top : at[0] + BRUSH_PX // 2 + 1, left : at[1] + BRUSH_PX // 2 + 1] = label_id
    return changed


if __name__ == "__main__":
    main()
