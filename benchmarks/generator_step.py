"""One training step of the generator, forward and backward: the sparse form against the dense one.

Prints medians of CPU seconds, interleaved in one process, and the bytes that the forward pass keeps for the
backward pass (every storage once), on crops of Minicity: for the width of the generator that ships here, and
with --full for that of the published one.

Run: .venv/bin/python benchmarks/generator_step.py [--full] [--batch 4] [--size 128x256]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from torch import Tensor

from segspade_core.config import GeneratorArchitecture, MinicityConfig
from segspade_core.datasets.minicity import draw_frame
from segspade_core.spade import SpadeGenerator
from segspade_core.spade.patches.pyramid import LabelPyramid
from segspade_core.spade.semantics import instance_edges, one_hot_semantics

SHIPPED = GeneratorArchitecture(width=20, max_channels=160, hidden=24, upsamplings=5)
PUBLISHED = GeneratorArchitecture(upsamplings=5)  # a head of 4x8 at 128x256, as the published one at 256x512


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the published width too; minutes")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", default="128x256", help="HEIGHTxWIDTH of the crops")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    label_ids, edges = crops(asked.batch, tuple(int(side) for side in asked.size.split("x")))
    networks = {"as shipped": SHIPPED} | ({"as published": PUBLISHED} if asked.full else {})
    for name, architecture in networks.items():
        measure(name, architecture, label_ids, edges, asked.rounds)


def crops(batch: int, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(B, H, W) label ids and edges of the middle of drawn frames of 192x384."""
    city = MinicityConfig(train=batch, val=0, size="192x384", seed=1)
    samples = [draw_frame(city, "train", index).sample for index in range(batch)]
    label_ids = torch.from_numpy(np.stack([sample.label_ids for sample in samples]))
    instances = torch.from_numpy(np.stack([sample.instance_ids for sample in samples]).astype(np.int32))
    top, left = (192 - size[0]) // 2, (384 - size[1]) // 2
    part = (slice(None), slice(top, top + size[0]), slice(left, left + size[1]))
    return label_ids[part].contiguous(), instance_edges(instances)[part].contiguous()


def measure(
    name: str, architecture: GeneratorArchitecture, label_ids: Tensor, edges: Tensor, rounds: int
) -> None:
    """Print one line for each form."""
    torch.manual_seed(0)
    network = SpadeGenerator(architecture).train()
    labels = architecture.num_labels
    semantics = one_hot_semantics(label_ids, edges, labels)
    towards = torch.randn(len(label_ids), 3, *label_ids.shape[1:])
    seconds: dict[str, list[float]] = {"dense": [], "sparse": []}
    kept: dict[str, int] = {}
    for turn in range(rounds + 1):
        for form, times in seconds.items():
            started = time.process_time()
            # the patches are found anew for every batch, so that belongs to the step
            maps = semantics if form == "dense" else LabelPyramid(label_ids, edges, semantics, labels)
            storages: dict[int, int] = {}

            def keep(tensor: Tensor, storages: dict[int, int] = storages) -> Tensor:
                storage = tensor.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                painted = network(maps)
            network.zero_grad()
            painted.backward(towards)
            if turn:  # the first time compiles
                times.append(time.process_time() - started)
            kept[form] = sum(storages.values()) - weights_in(network, storages)
    dense, sparse = (statistics.median(times) for times in seconds.values())
    print(f"{name}: {len(label_ids)} crops of {label_ids.shape[1]}x{label_ids.shape[2]}")
    print(f"    dense   {dense:6.2f} s of CPU   {kept['dense'] / 2**20:7.0f} MiB kept for the backward pass")
    print(f"    sparse  {sparse:6.2f} s of CPU   {kept['sparse'] / 2**20:7.0f} MiB")
    print(f"    ratio   {dense / sparse:6.2f}x              {kept['dense'] / kept['sparse']:7.2f}x")


def weights_in(network: torch.nn.Module, storages: dict[int, int]) -> int:
    """Bytes of `storages` that are the network's own weights, which both forms have."""
    own = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    return sum(size for place, size in storages.items() if place in own)


if __name__ == "__main__":
    main()
