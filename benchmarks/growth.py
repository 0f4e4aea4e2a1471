"""How time and memory grow with the number of frames: linear and flat is what they should be.

Sources of 100 to 3,000 frames of Minicity are ingested, read in random order, segmented by a small network
and verified, each number in a process of its own with a Prefect server of its own. Frames of 64 streets come
again and again under other names: the work does not depend on what they show.

    python benchmarks/growth.py [--frames 100 300 1000 3000] [--size 128x256] [--svg docs/growth.svg]

Prints seconds and peak memory of each, and the seconds of each further frame beside those of the first.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from artifacts_for_benchmarks import untrained_segmenter

from flows.server import serving, stop_server
from segspade_core.config import IngestConfig, MinicityConfig, RuntimeConfig, SegmentConfig
from storage.arrays import open_split
from storage.store import Store

STREETS = 64
STAGES = ("ingest", "read", "segment", "verify")
RUNTIME = RuntimeConfig(device="cpu")
MIB = 2**20


def draw_streets(folder: Path, size: tuple[int, int]) -> None:
    """The frames that every source is made of."""
    from segspade_core.datasets.minicity import draw_frame, write_frame, write_index

    config = MinicityConfig(train=STREETS, val=0, size=size)
    write_index(config, folder)
    for row in range(STREETS):
        write_frame(draw_frame(config, "train", row), "train", folder)


def source_of(streets: Path, folder: Path, frames: int) -> Path:
    """So many frames in the layout of Cityscapes: other names of the same files."""
    photographs = sorted((streets / "leftImg8bit").rglob("*.png"))
    for row in range(frames):
        photograph = photographs[row % STREETS]
        name = photograph.name.removesuffix("_leftImg8bit.png")
        for kind in ("leftImg8bit", "gtFine"):
            (folder / kind / "train" / "aachen").mkdir(parents=True, exist_ok=True)
        for file in (photograph, *(streets / "gtFine").rglob(f"{name}_*.png")):
            kind = "leftImg8bit" if file == photograph else "gtFine"
            end = file.name.removeprefix(f"{name}_")
            os.link(file, folder / kind / "train" / "aachen" / f"aachen_{row:06}_000019_{end}")
    return folder


class Peak:
    """The most memory that this process has held since `reset`, looked at twenty times a second."""

    def __init__(self) -> None:
        self.mib = 0.0
        threading.Thread(target=self._look, daemon=True).start()

    def reset(self) -> None:
        self.mib = 0.0

    def _look(self) -> None:
        process = psutil.Process()
        while True:
            self.mib = max(self.mib, process.memory_info().rss / MIB)
            time.sleep(0.05)


def measure(streets: Path, frames: int, size: tuple[int, int]) -> dict[str, tuple[float, float]]:
    """Stage → seconds, and MiB at the peak."""
    found: dict[str, tuple[float, float]] = {}
    peak = Peak()

    def timed(name: str, run: Callable[[], Any]) -> Any:
        peak.reset()
        began = time.perf_counter()
        result = run()
        found[name] = time.perf_counter() - began, peak.mib
        return result

    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        workspace = Path(name, "workspace")
        source = source_of(streets, Path(name, "source"), frames)
        try:
            with serving(workspace, lambda _: None):
                from flows import stages

                config = IngestConfig(layout="cityscapes", size=size, splits=("train",))
                small = IngestConfig(
                    layout="cityscapes", size=(size[0] // 2, size[1] // 2), splits=("train",)
                )
                segmenter = untrained_segmenter(workspace)
                # once over all that is loaded and compiled the first time
                few = stages.ingest(source_of(streets, Path(name, "few"), 16), small, workspace, RUNTIME)
                stages.segment(segmenter, few, SegmentConfig(split="train"), workspace, RUNTIME)
                dataset = timed("ingest", lambda: stages.ingest(source, config, workspace, RUNTIME))
                store = Store(workspace)
                split = open_split(store.path(dataset) / "train.zarr")
                order = np.random.default_rng(0).permutation(frames).tolist()
                timed("read", lambda: [split[array][row] is None for row in order for array in split])
                of_all = SegmentConfig(split="train")
                timed("segment", lambda: stages.segment(segmenter, dataset, of_all, workspace, RUNTIME))
                assert timed("verify", store.verify) == []
        finally:
            stop_server(workspace)
    return found


def show(found: dict[int, dict[str, list[float]]]) -> None:
    """A table: seconds, memory, and how the seconds of a further frame compare."""
    counts = sorted(found)
    print(f"{'stage':10}" + "".join(f"{count:>18,}" for count in counts))
    for stage in STAGES:
        cells = [found[count][stage] for count in counts]
        print(f"{stage:10}" + "".join(f"{seconds:>8.1f} s {mib:>5,.0f} MiB" for seconds, mib in cells))
        slopes = [
            (after[0] - before[0]) / (more - less)
            for (less, before), (more, after) in zip(
                zip(counts, cells, strict=True), list(zip(counts, cells, strict=True))[1:], strict=False
            )
        ]
        ratios = ", ".join(f"{slope / slopes[0]:.2f}" for slope in slopes)
        print(
            f"{'':10} ms of a further frame: {', '.join(f'{1000 * s:.1f}' for s in slopes)}; ratios {ratios}"
        )


def draw(found: dict[int, dict[str, list[float]]], path: Path) -> None:
    """Seconds and memory over the number of frames."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth"})
    from matplotlib.figure import Figure

    counts = sorted(found)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for at, (axis, words) in enumerate(zip(axes, ("seconds", "peak memory, MiB"), strict=True)):
        for stage in STAGES:
            axis.plot(counts, [found[count][stage][at] for count in counts], marker="o", label=stage)
        axis.set(xlabel="frames", ylabel=words, xlim=(0, None), ylim=(0, None))
    axes[0].legend(frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs="*", default=[100, 300, 1000, 3000])
    parser.add_argument("--size", default="128x256", help="HxW")
    parser.add_argument("--svg", type=Path, help="draw the curves into this file")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is ended then too
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), int(options.measure[1]), (height, width))))
        return
    found: dict[int, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="streets-") as folder:
        draw_streets(Path(folder), (height, width))
        for count in options.frames:
            command = [sys.executable, __file__, "--size", options.size, "--measure", folder, str(count)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[count] = json.loads(done.stdout.splitlines()[-1])
            print(f"{count:,} frames done", file=sys.stderr, flush=True)
    show(found)
    if options.svg:
        draw(found, options.svg)


if __name__ == "__main__":
    main()
