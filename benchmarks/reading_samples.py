"""Random samples read through `open_split`, against np.memmap (the limit) and PNG files (the peer).

    .venv/bin/python benchmarks/reading_samples.py [--samples 48] [--size 512x1024] [--rounds 5]

The three take turns within one run and the medians are compared: on a busy machine ratios hold, times do not.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from storage.arrays import create_split, open_split, shards, write_shard

Read = Callable[[int], tuple[np.ndarray, np.ndarray]]


def draw(count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Images that compress about as photographs do (smooth, with noise), and label maps of rectangles."""
    random = np.random.default_rng(0)
    images = np.empty((count, height, width, 3), np.uint8)
    label_ids = np.zeros((count, height, width), np.uint8)
    for row in range(count):
        coarse = random.integers(0, 256, (height // 32 + 1, width // 32 + 1, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        noise = random.normal(0, 3, (height, width, 3))
        images[row] = np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8)
        for _ in range(40):
            top, left = random.integers(0, height), random.integers(0, width)
            label_ids[row, top : top + height // 4, left : left + width // 6] = random.integers(0, 34)
    return images, label_ids


def readers(folder: Path, images: np.ndarray, label_ids: np.ndarray) -> dict[str, Read]:
    """Write the samples in every form, and tell how each form is read."""
    path = folder / "train.zarr"
    create_split(path, len(images), images.shape[1:3], ("image", "label_ids"), {})
    for shard, start, stop in shards(len(images)):
        write_shard(path, shard, {"image": images[start:stop], "label_ids": label_ids[start:stop]})
    split = open_split(path)
    np.save(folder / "image.npy", images)
    np.save(folder / "label_ids.npy", label_ids)
    raw = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("image", "label_ids")]
    for row, (image, labels) in enumerate(zip(images, label_ids, strict=True)):
        Image.fromarray(image).save(folder / f"{row}_image.png")
        Image.fromarray(labels).save(folder / f"{row}_label_ids.png")

    def png(row: int, name: str) -> np.ndarray:
        return np.array(Image.open(folder / f"{row}_{name}.png"))

    return {
        "open_split": lambda row: (split["image"][row], split["label_ids"][row]),
        "np.memmap": lambda row: (np.array(raw[0][row]), np.array(raw[1][row])),
        "resized PNG": lambda row: (png(row, "image"), png(row, "label_ids")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--size", default="512x1024", help="HxW")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    images, label_ids = draw(options.samples, height, width)
    with tempfile.TemporaryDirectory() as folder:
        forms = readers(Path(folder), images, label_ids)
        taken: dict[str, list[float]] = {name: [] for name in forms}
        cpu: dict[str, list[float]] = {name: [] for name in forms}
        for turn in range(options.rounds):
            rows = np.random.default_rng(turn).permutation(options.samples)
            for name, read in forms.items():
                began, cpu_began = time.perf_counter(), time.process_time()
                for row in rows:
                    image, labels = read(int(row))
                taken[name].append((time.perf_counter() - began) / len(rows))
                cpu[name].append((time.process_time() - cpu_began) / len(rows))
                assert (image == images[rows[-1]]).all()
                assert (labels == label_ids[rows[-1]]).all()
        disk = sum(path.stat().st_size for path in Path(folder, "train.zarr").rglob("*") if path.is_file())
    raw = images.nbytes + label_ids.nbytes
    best = statistics.median(cpu["np.memmap"])
    peer = statistics.median(cpu["resized PNG"])
    print(
        f"{options.samples} samples of {options.size}, {options.rounds} rounds; "
        f"{disk / options.samples / 1e6:.2f} MB a sample, {disk / raw:.2f} of raw"
    )
    print(f"{'form':<12} {'samples/s':>10} {'per CPU-s':>10} {'of memmap':>10} {'x PNG':>7}")
    for name in forms:
        each = statistics.median(cpu[name])
        wall = 1 / statistics.median(taken[name])
        print(f"{name:<12} {wall:>10.0f} {1 / each:>10.0f} {best / each:>10.2f} {peer / each:>7.1f}")


if __name__ == "__main__":
    main()
