"""Frames of Minicity a second on one core at 256x512, drawn and written; the aim is at least 8.

Also the colour classifier that must fail: the nearest mean colour of a class, mIoU over the classes present.

Run: .venv/bin/python benchmarks/minicity.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from segspade_core.config import MinicityConfig
from segspade_core.datasets.minicity import draw_frame, write_frame

FRAMES = 60


def main() -> None:
    """Measure and print."""
    config = MinicityConfig(train=FRAMES, val=0)
    draw_frame(config, "train", 0)  # textures are made once a process
    frames = []
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for index in range(FRAMES):
            frames.append(draw_frame(config, "train", index))
            write_frame(frames[-1], "train", Path(folder))
    print(f"{FRAMES / (time.process_time() - started):.1f} frames a second of CPU, drawn and written")
    images = np.stack([frame.sample.image for frame in frames]).astype(np.float32)
    labels = np.stack([frame.sample.label_ids for frame in frames])
    print(f"{len(np.unique(labels))} label ids")
    print(f"nearest mean colour: {nearest_mean_miou(images[:, ::4, ::4], labels[:, ::4, ::4]):.1%} mIoU")


def nearest_mean_miou(images: np.ndarray, labels: np.ndarray) -> float:
    """Class means from every second frame, scored on the others."""
    ids = np.unique(labels[::2])
    means = np.stack([images[::2][labels[::2] == id].mean(axis=0) for id in ids])
    predicted = ids[((images[1::2, :, :, None] - means) ** 2).sum(axis=-1).argmin(axis=-1)]
    true = labels[1::2]
    both = [((predicted == id) & (true == id)).sum() for id in np.unique(true)]
    either = [((predicted == id) | (true == id)).sum() for id in np.unique(true)]
    return float(np.mean(np.array(both) / np.array(either)))


if __name__ == "__main__":
    main()
