"""How time and memory grow with the number of frames: linear and flat is what they should be.

Sources of 100 to 3,000 frames of Minicity are ingested, read in random order, segmented by a small network
and verified, each number in a process of its own with a Prefect server of its own. Frames of 64 streets come
again and again under other names: the work does not depend on what they show.

    python benchmarks/growth.py [--frames 100 300 1000 3000] [--size 128x256] [--rounds 3] [--svg growth.svg]

Counts take turns. Prints the median seconds and peak memory of each, and the time of each further frame.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from artifacts_for_benchmarks import untrained_segmenter
from server_for_benchmarks import own_server

from segspade_core.config import IngestConfig, MinicityConfig, RuntimeConfig, SegmentConfig
from storage.arrays import open_split
from storage.store import Store

STREETS = 64
STAGES = ("ingest", "read", "segment", "verify")
RUNTIME = RuntimeConfig(device="cpu")
MIB = 2**20
Found = dict[str, tuple[float, float]]  # stage → seconds, and MiB at the peak


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
        self._process = psutil.Process()
        self.mib = self._now()
        threading.Thread(target=self._look, daemon=True).start()

    def reset(self) -> None:
        self.mib = self._now()

    def _now(self) -> float:
        return float(self._process.memory_info().rss / MIB)

    def _look(self) -> None:
        while True:
            self.mib = max(self.mib, self._now())
            time.sleep(0.05)


def measure(streets: Path, frames: int, size: tuple[int, int]) -> Found:
    """One round of one count."""
    found: Found = {}
    peak = Peak()

    def timed(name: str, run: Callable[[], Any]) -> Any:
        peak.reset()
        began = time.perf_counter()
        result = run()
        found[name] = time.perf_counter() - began, peak.mib
        return result

    with own_server("growth") as (workspace, _), tempfile.TemporaryDirectory(prefix="sources-") as name:
        from flows import stages

        source = source_of(streets, Path(name, "source"), frames)
        config = IngestConfig(layout="cityscapes", size=size, splits=("train",))
        half = (size[0] // 2, size[1] // 2)
        small = IngestConfig(layout="cityscapes", size=half, splits=("train",))
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
    return found


def medians(rounds: dict[int, list[Found]]) -> dict[int, Found]:
    """Frames → what was found, over all rounds."""
    return {
        count: {
            stage: (median(each[stage][0] for each in found), median(each[stage][1] for each in found))
            for stage in STAGES
        }
        for count, found in sorted(rounds.items())
    }


def show(found: dict[int, Found]) -> None:
    """A table: seconds, memory, and the milliseconds of each frame beyond those of the count before."""
    counts = list(found)
    print(f"{'':10}" + "".join(f"{count:>18,}" for count in counts))
    for stage in STAGES:
        cells = [found[count][stage] for count in counts]
        print(f"{stage:10}" + "".join(f"{seconds:>8.1f} s {mib:>5,.0f} MiB" for seconds, mib in cells))
        steps = zip(counts, cells, counts[1:], cells[1:], strict=False)
        slopes = [1000 * (after[0] - before[0]) / (more - less) for less, before, more, after in steps]
        print(f"{'  ms a frame':10}" + " " * 16 + "".join(f"{slope:>18.2f}" for slope in slopes))


def draw(found: dict[int, Found], path: Path) -> None:
    """Time and memory over the number of frames: level lines are what they should be."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth"})
    from matplotlib.figure import Figure

    counts = list(found)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    time_axis, memory_axis = figure.subplots(1, 2)
    for stage in STAGES:
        seconds, mib = zip(*(found[count][stage] for count in counts), strict=True)
        each = [1000 * spent / count for spent, count in zip(seconds, counts, strict=True)]
        time_axis.plot(counts, each, marker="o", label=stage)
        memory_axis.plot(counts, mib, marker="o", label=stage)
    time_axis.set(ylabel="ms a frame", yscale="log")
    memory_axis.set(ylabel="peak memory, MiB", ylim=(0, None))
    memory_axis.margins(y=0.1)
    for axis in (time_axis, memory_axis):
        axis.set(xlabel="frames", xlim=(0, None))
        axis.grid(alpha=0.3)
    memory_axis.legend(frameon=False, loc="lower right")
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs="*", default=[100, 300, 1000, 3000])
    parser.add_argument("--size", default="128x256", help="HxW")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--svg", type=Path, help="draw the curves into this file")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), int(options.measure[1]), (height, width))))
        return
    rounds: dict[int, list[Found]] = {count: [] for count in options.frames}
    with tempfile.TemporaryDirectory(prefix="streets-") as folder:
        draw_streets(Path(folder), (height, width))
        for turn in range(options.rounds):
            for count in options.frames:
                command = [sys.executable, __file__, "--size", options.size, "--measure", folder, str(count)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                rounds[count].append(json.loads(done.stdout.splitlines()[-1]))
                print(f"round {turn + 1}: {count:,} frames", file=sys.stderr, flush=True)
    found = medians(rounds)
    show(found)
    if options.svg:
        draw(found, options.svg)


if __name__ == "__main__":
    main()
