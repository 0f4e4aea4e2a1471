"""Peak memory and seconds of segmenting one photograph of 2048x1024, as a whole and through windows.

Each way runs in a process of its own. Memory is the highest resident memory while it predicts, above that
before; the share of pixels is of those labelled as in the map of the whole photograph. Without weights the
networks know nothing: give a segmenter that was trained, to see what windows cost in agreement.

    python benchmarks/windows.py [--photograph FILE] [--segmenter FILE] [--heads fcn32 deeplabv3plus]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

from segspade_core.config import LookConfig, MinicityConfig
from segspade_core.datasets.minicity import draw_frame
from segspade_core.segmentation import Segmenter, load_segmenter, predict

HEIGHT, WIDTH = 1024, 2048
WAYS = ("whole", "512x1024", "256x512")


class Peak:
    """The highest resident memory of this process while it is entered, every few milliseconds."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.002):
            self.bytes = max(self.bytes, me.memory_info().rss)


def measure(photograph: Path, segmenter: str, head: str, way: str, out: Path) -> None:
    """Predict once and keep the map; print seconds and bytes."""
    torch.manual_seed(0)
    if segmenter:
        model = load_segmenter(Path(segmenter).read_bytes(), segmenter)
    else:
        model = Segmenter("resnet34", 34, head=head)
    look = LookConfig() if way == "whole" else LookConfig.model_validate({"windows": {"size": way}})
    predict(model, np.zeros((1, 64, 64, 3), np.uint8))  # what is loaded at first use
    image = np.array(Image.open(photograph).convert("RGB"))
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    with Peak() as peak:
        label_ids = predict(model, image[None], look=look)
    print(time.perf_counter() - began, peak.bytes - before)
    np.save(out, label_ids[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photograph", type=Path, help="of any size; one of Minicity, doubled, without")
    parser.add_argument("--segmenter", default="", help="weights of a segmenter artifact")
    parser.add_argument("--heads", nargs="+", default=["fcn32", "deeplabv3plus"])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        head, way, out = asked.child
        measure(asked.photograph, asked.segmenter, head, way, Path(out))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photograph = asked.photograph or folder / "frame.png"
        if asked.photograph is None:
            config = MinicityConfig(train=1, val=0, size=(HEIGHT // 2, WIDTH // 2))
            frame = draw_frame(config, "train", 0).sample.image
            Image.fromarray(frame.repeat(2, axis=0).repeat(2, axis=1)).save(photograph)
        for head in [asked.segmenter] if asked.segmenter else asked.heads:
            whole: np.ndarray | None = None
            for way in WAYS:
                out = folder / f"{way}.npy"
                options = [f"--photograph={photograph}", f"--segmenter={asked.segmenter}"]
                command = [sys.executable, __file__, *options, "--child", head, way, str(out)]
                said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                seconds, size = map(float, said.split())
                label_ids = np.load(out)
                whole = label_ids if whole is None else whole
                shown = Path(head).parent.name if asked.segmenter else head
                print(
                    f"{shown:16} {way:9} {seconds:6.2f} s   {size / 2**20:6.0f} MiB   "
                    f"{np.mean(label_ids == whole):7.2%} of pixels as whole"
                )


if __name__ == "__main__":
    main()
