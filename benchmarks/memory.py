"""Peak memory of ingest and segment over the number of images: it must not grow with them.

Draws a small city, multiplies its files by links to 100 and to 1,000 frames, and runs the command line on
each. Prints the peak resident memory of each command, and the ratio of 1,000 to 100 images (limit: 1.10).

    python benchmarks/memory.py [--few 100] [--many 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SIZE = "64x128"
DRAWN = 50
SEGSPADE = [sys.executable, "-c", "from flows.cli import app; app()"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace = folder / "workspace"
        _run(
            workspace, "minicity", str(folder / "drawn"), "--train", str(DRAWN), "--val", "2", "--size", SIZE
        )
        peaks: dict[str, list[int]] = {"ingest": [], "segment": []}
        segmenter = None
        for count in (arguments.few, arguments.many):
            city = multiply(folder / "drawn", folder / f"city{count}", count)
            options = ("--layout", "cityscapes", "--size", SIZE, "--split", "train")
            dataset, peak = _run(workspace, "ingest", str(city), *options)
            peaks["ingest"].append(peak)
            if segmenter is None:
                quick = [f"--set={setting}" for setting in ("encoder=resnet18", "weights=none", "epochs=1")]
                segmenter, _ = _run(workspace, "train-segmenter", dataset, *quick)
            _, peak = _run(workspace, "segment", segmenter, dataset, "--split", "train")
            peaks["segment"].append(peak)
        _run(workspace, "ui", "--stop")
    print(f"{'':10}{arguments.few:>10} images{arguments.many:>10} images   ratio")
    for stage, (few, many) in peaks.items():
        print(f"{stage:10}{few / 1024:>11.0f} MiB   {many / 1024:>10.0f} MiB   {many / few:>5.3f}")


def multiply(drawn: Path, city: Path, count: int) -> Path:
    """A city of `count` train frames whose files are links to those that were drawn."""
    photos = sorted((drawn / "leftImg8bit" / "train").rglob("*.png"))
    for number in range(count):
        photo = photos[number % len(photos)]
        town, _, _, _ = photo.stem.split("_")
        name = f"{town}_{number:06}_{number:06}"
        _link(photo, city / "leftImg8bit" / "train" / town / f"{name}_leftImg8bit.png")
        stem = photo.name.removesuffix("_leftImg8bit.png")
        for kind in ("labelIds", "instanceIds"):
            truth = drawn / "gtFine" / "train" / town / f"{stem}_gtFine_{kind}.png"
            _link(truth, city / "gtFine" / "train" / town / f"{name}_gtFine_{kind}.png")
    return city


def _link(file: Path, at: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    os.link(file, at)


def _run(workspace: Path, *arguments: str) -> tuple[str, int]:
    """Run a command; returns the last line it printed, and its peak resident memory in KiB."""
    environment = {**os.environ, "SEGSPADE_WORKSPACE": str(workspace)}
    process = subprocess.Popen(
        [*SEGSPADE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stderr is not None
    printed, errors = process.stdout.read(), process.stderr.read()
    # of this very process: children, and a server that stays, do not count
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(json.dumps(arguments) + "\n" + errors)
    lines = printed.strip().splitlines()
    return (lines[-1] if lines else ""), usage.ru_maxrss


if __name__ == "__main__":
    main()
