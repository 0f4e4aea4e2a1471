"""What a batch stage takes beyond the bare forward passes of its model, on tensors that are in memory.

Frames of Minicity go through `flows.stages.segment` and `flows.stages.synthesize`: shards are read and
unpacked, maps and images packed, put and committed, and Prefect keeps its records meanwhile. The models never
learned (the time does not depend on it). A stage's seconds are those of its manifest; passes and stage take
turns, after a turn that does not count, in which models are loaded. The Prefect server is this run's own, and
ends with it.

    python benchmarks/batch.py [--frames 48] [--size 512x1024] [--rounds 3] [--stages segment]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from artifacts_for_benchmarks import drawn_dataset, untrained_generator, untrained_segmenter
from server_for_benchmarks import own_server

from segspade_core.config import RuntimeConfig, SegmentConfig, SynthesizeConfig
from storage.arrays import open_split
from storage.refs import ArtifactRef
from storage.store import Store

RUNTIME = RuntimeConfig(device="cpu")


def bare_segmenter(workspace: Path, segmenter: ArtifactRef, dataset: ArtifactRef) -> Callable[[], None]:
    """A function: every photograph of the split through the network, one after the other."""
    import torch

    from tasks.models import segmenter_of

    model, _ = segmenter_of(workspace, segmenter, RUNTIME)
    images = open_split(Store(workspace).path(dataset) / "train.zarr")["image"][:]
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255

    @torch.inference_mode()
    def run() -> None:
        for row in range(len(pixels)):
            model(pixels[row : row + 1])

    return run


def bare_painter(
    workspace: Path, generator: ArtifactRef, dataset: ArtifactRef, config: SynthesizeConfig
) -> Callable[[], None]:
    """A function: every label map of the split through the painter, one after the other."""
    from segspade_core.spade import painting_codes, synthesize
    from tasks.models import painting_models

    models = painting_models(workspace, generator, config, RUNTIME)
    split = open_split(Store(workspace).path(dataset) / "train.zarr")
    labels, instances = (split[name][:] for name in ("label_ids", "instance_ids"))

    def run() -> None:
        for row in range(len(labels)):
            part = slice(row, row + 1)
            codes = painting_codes(models.generator, models.style_encoder, config, {}, 1, None)
            synthesize(models.painter, labels[part], instances[part], codes)

    return run


def compare(workspace: Path, options: argparse.Namespace) -> None:
    """Measure both stages and print."""
    from flows import stages

    height, width = map(int, options.size.split("x"))
    dataset = drawn_dataset(workspace, options.frames, (height, width))
    segmenter = untrained_segmenter(workspace, "resnet34")
    generator = untrained_generator(workspace, width=options.width)
    segment, synthesize = SegmentConfig(split="train"), SynthesizeConfig(split="train")
    store = Store(workspace)

    def stage_seconds(stage: Any, *arguments: Any) -> float:
        made = stage(*arguments, workspace, RUNTIME)
        seconds = store.manifest(made).seconds
        store.remove(made)
        return seconds

    ways: dict[str, tuple[Callable[[], None], Callable[[], float]]] = {
        "segment": (
            bare_segmenter(workspace, segmenter, dataset),
            lambda: stage_seconds(stages.segment, segmenter, dataset, segment),
        ),
        "synthesize": (
            bare_painter(workspace, generator, dataset, synthesize),
            lambda: stage_seconds(stages.synthesize, generator, dataset, synthesize),
        ),
    }
    # on a thread, as the stage does: on the main thread the same passes took several times as long
    thread = ThreadPoolExecutor(1)
    print(f"{options.frames} frames of {options.size}, {options.rounds} rounds")
    print(f"{'stage':12} {'passes s':>9} {'stage s':>8} {'ratio':>6}")
    for name in options.stages:
        bare, stage = ways[name]
        passes, whole = [], []
        for turn in range(options.rounds + 1):
            began = time.perf_counter()
            thread.submit(bare).result()
            took = time.perf_counter() - began
            seconds = stage()
            if turn:
                passes.append(took)
                whole.append(seconds)
        ratio = median(a / b for a, b in zip(whole, passes, strict=True))
        print(f"{name:12} {median(passes):9.1f} {median(whole):8.1f} {ratio:6.2f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--size", default="512x1024", help="HxW")
    parser.add_argument("--width", type=int, default=8, help="of the generator; 64 as published")
    parser.add_argument("--rounds", type=int, default=3)
    stages = ["segment", "synthesize"]
    parser.add_argument("--stages", nargs="+", choices=stages, default=stages)
    options = parser.parse_args()
    with own_server("batch") as (workspace, _):
        compare(workspace, options)


if __name__ == "__main__":
    main()
