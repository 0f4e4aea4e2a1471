"""Seconds and page faults of a training step, with and without what the training process tells the allocator.

One batch of 256x512 in memory, one thread, each way in a process of its own, in turn; medians over all steps.

    python benchmarks/allocator.py [--encoder efficientnet-lite0] [--head deeplabv3plus] [--batch 8]
        [--steps 6] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from training import seconds_at_the_limit, write_frames

from segspade_core.config import AugmentConfig, SegmenterConfig
from storage.arrays import open_split
from tasks.training import KEEP_MEMORY


def faults() -> int:
    """Pages that this process had to ask for, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def measure(config: SegmenterConfig, steps: int) -> None:
    """Take steps and print their seconds, and the page faults of one."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_frames(folder, config.batch)
        arrays = open_split(folder / "train.zarr")
        before = faults()
        seconds = seconds_at_the_limit(config, arrays, steps)
    print(json.dumps({"seconds": seconds, "faults": (faults() - before) // (steps + 1)}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--encoder", default="efficientnet-lite0")
    parser.add_argument("--head", default="deeplabv3plus")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6, help="measured steps of each way in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        config = SegmenterConfig(
            encoder=asked.encoder,
            head=asked.head,
            weights="none",
            epochs=1,
            batch=asked.batch,
            augment=AugmentConfig(flip=0.5),
        )
        measure(config, asked.steps)
        return
    ways = {"as glibc is": {}, "memory kept": KEEP_MEMORY}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    pages: dict[str, list[int]] = {way: [] for way in ways}
    for _ in range(asked.rounds):
        for way, settings in ways.items():
            again = [sys.executable, __file__, "--child", *sys.argv[1:]]
            said = subprocess.run(again, env={**os.environ, **settings}, check=True, stdout=subprocess.PIPE)
            answer = json.loads(said.stdout)
            seconds[way] += answer["seconds"]
            pages[way].append(answer["faults"])
    plain = median(seconds["as glibc is"])
    for way in ways:
        took, faulted = median(seconds[way]), median(pages[way])
        print(f"{way:12} {took:6.3f} s a step   {faulted:8.0f} page faults a step   {took / plain:.2f}")


if __name__ == "__main__":
    main()
