"""Images per second in training a segmenter: the whole loop beside its limit and beside its peers.

ResNet-34 and Adam at 256x512, all in one run and in turn; medians over the rounds, of seconds that pass. The
limit is the loop's own step on one batch that lies in memory: no loop over the same network can be faster.
The peers have the plain form of the network, as torchvision's reference script for segmentation trains it
(logits from a transposed convolution, the library's loss, floats made by the CPU, PNGs through a
`DataLoader`), and, in the simplest case, a `Dataset` of PNGs that is read between the steps.

    python benchmarks/training.py [--batch 4] [--steps 6] [--rounds 5] [--threads 0] [--encoder resnet34]
    python benchmarks/training.py --device cuda --batch 32 --steps 40 --warm-up 5 [--precision bf16]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from segspade_core.config import AugmentConfig, MinicityConfig, SegmenterConfig
from segspade_core.datasets.minicity import draw_frame
from segspade_core.labels import IGNORE_ID, void_mask
from segspade_core.segmentation import train_segmenter
from segspade_core.segmentation.batches import LabelledImages
from segspade_core.segmentation.encoders import IMAGENET_MEAN, IMAGENET_STD
from segspade_core.segmentation.state import TrainingState
from segspade_core.segmentation.step import Updates
from segspade_core.training.device import autocast, pick_device
from segspade_core.training.divergence import Place
from segspade_core.training.events import EpochEvent, StepEvent
from storage.arrays import open_split
from storage.shard_writing import write_shard
from storage.split_layout import create_split

SIZE = (256, 512)
CLASSES = 34
SHARD = 16
DRAWN = 64  # frames that differ; the others are these again: they cost as much to read


class Forgetful:
    """Checkpoints that are not kept: what they cost depends on how often they are asked for."""

    def load(self, _name: str) -> None:
        """There is none."""

    def save(self, _name: str, _content: bytes) -> None:
        """Let it go."""


class PngFiles(Dataset[tuple[Tensor, Tensor]]):
    """Photographs and label maps as PNG, flipped at random and normalised, one sample at a time."""

    def __init__(self, folder: Path, count: int) -> None:
        drawn = sorted(folder.glob("*_image.png"))
        self.photographs = [drawn[index % len(drawn)] for index in range(count)]

    def __len__(self) -> int:
        return len(self.photographs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(3, H, W) float32 and (H, W) int64."""
        path = self.photographs[index]
        image = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1).float() / 255
        target = torch.from_numpy(np.array(Image.open(path.with_name(path.name.replace("image", "ids")))))
        if torch.rand(()) < 0.5:
            image, target = image.flip(2), target.flip(1)
        mean, std = (torch.tensor(of).view(3, 1, 1) for of in (IMAGENET_MEAN, IMAGENET_STD))
        return (image - mean) / std, target.long()


class PlainNetwork(nn.Module):
    """The study's network of the library's parts alone."""

    def __init__(self, encoder: str) -> None:
        super().__init__()
        resnet = torchvision.models.get_model(encoder, weights=None)
        self.features = nn.Sequential(*list(resnet.children())[:-2])
        self.classifier = nn.Conv2d(resnet.fc.in_features, CLASSES, 1)
        self.upsample = nn.ConvTranspose2d(CLASSES, CLASSES, 64, 32, 16, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, C, H, W)."""
        logits: Tensor = self.upsample(self.classifier(self.features(images)))
        return logits


def write_frames(folder: Path, count: int) -> None:
    """The same drawn frames as a Zarr split of `count` and as PNGs."""
    drawn = min(count, DRAWN)
    city = MinicityConfig(train=drawn, val=0, size=SIZE)
    samples = [draw_frame(city, "train", index).sample for index in range(drawn)]
    images = np.stack([sample.image for sample in samples])
    ids = np.stack([sample.label_ids for sample in samples])
    create_split(folder / "train.zarr", count, SIZE, ("image", "label_ids"), {})
    for shard, start in enumerate(range(0, count, SHARD)):
        part = [index % drawn for index in range(start, min(start + SHARD, count))]
        write_shard(folder / "train.zarr", shard, {"image": images[part], "label_ids": ids[part]})
    for index, (image, of_one) in enumerate(zip(images, ids, strict=True)):
        Image.fromarray(image).save(folder / f"{index:04}_image.png")
        known = np.where(void_mask(of_one), np.uint8(IGNORE_ID), of_one)
        Image.fromarray(known).save(folder / f"{index:04}_ids.png")


def seconds_of_loop(config: SegmenterConfig, arrays: Any, workers: int, device: torch.device) -> list[float]:
    """Seconds between the ends of steps, of the loop that `segspade train-segmenter` runs."""
    ends: list[float] = []

    def listen(event: StepEvent | EpochEvent) -> None:
        if isinstance(event, StepEvent):
            ends.append(time.perf_counter())

    train_segmenter(
        config,
        arrays["image"],
        arrays["label_ids"],
        device=device,
        checkpoints=Forgetful(),
        checkpoint_every_steps=10**9,
        on_event=listen,
        workers=workers,
    )
    return np.diff(ends).tolist()


def seconds_at_the_limit(
    config: SegmenterConfig, arrays: Any, steps: int, device: torch.device
) -> list[float]:
    """Seconds of steps on one batch that is there already."""
    state = TrainingState(config, device)
    updates = Updates(state)
    data = LabelledImages("train", arrays["image"], arrays["label_ids"], CLASSES)
    batches = data.batches(config, 0, 0)
    if device.type == "cuda":
        batches = tuple(batch.pinned() for batch in batches)
    seconds = []
    for step in range(steps + 1):
        began = time.perf_counter()
        state.set_rates(steps + 1)
        updates.take(batches, Place(0, step, steps + 1, 0))
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


def seconds_of_plain_loop(
    encoder: str, batches: Iterable[Any], device: torch.device, precision: str
) -> list[float]:
    """Seconds between the ends of steps of the textbook's loop."""
    torch.manual_seed(0)
    network = PlainNetwork(encoder).train().to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    ends = []
    for images, targets in batches:
        images, targets = images.to(device, non_blocking=True), targets.to(device, non_blocking=True)
        with autocast(device, precision):
            logits = network(images)
            loss = F.cross_entropy(logits, targets, ignore_index=IGNORE_ID)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()
        ends.append(time.perf_counter())
    return np.diff(ends).tolist()


def read_between(files: PngFiles, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches that are made when they are asked for."""
    for start in range(0, len(files), batch):
        images, targets = zip(*(files[index] for index in range(start, start + batch)), strict=True)
        yield torch.stack(images), torch.stack(targets)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=6, help="measured steps of each way in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="of the processor; 0: as many as there are")
    parser.add_argument("--encoder", default="resnet34")
    parser.add_argument("--workers", type=int, default=1, help="threads, or processes, that make batches")
    parser.add_argument("--device", type=pick_device, default="cpu")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--compile", action="store_true", help="the network of our loop")
    parser.add_argument("--warm-up", type=int, default=0, help="first steps of each way that do not count")
    asked = parser.parse_args()
    device, peers = asked.device, (asked.device, asked.precision)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    config = SegmenterConfig(
        encoder=asked.encoder,
        weights="none",
        epochs=1,
        batch=asked.batch,
        precision=asked.precision,
        compile=asked.compile,
        augment=AugmentConfig(flip=0.5),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = (asked.steps + 1) * asked.batch
        write_frames(folder, count)
        arrays, files = open_split(folder / "train.zarr"), PngFiles(folder, count)
        ways: dict[str, Callable[[], list[float]]] = {
            "limit: one batch in memory": lambda: seconds_at_the_limit(config, arrays, asked.steps, device),
            "segspade, Zarr": lambda: seconds_of_loop(config, arrays, asked.workers, device),
            "plain network, DataLoader of PNGs": lambda: seconds_of_plain_loop(
                asked.encoder,
                DataLoader(
                    files,
                    asked.batch,
                    shuffle=True,
                    num_workers=asked.workers,
                    pin_memory=device.type == "cuda",
                    drop_last=True,
                ),
                *peers,
            ),
            "plain network, PNGs between steps": lambda: seconds_of_plain_loop(
                asked.encoder, read_between(files, asked.batch), *peers
            ),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(asked.rounds):
            for way, measure in ways.items():
                seconds[way] += measure()[asked.warm_up :]
    rates = {way: asked.batch / median(values) for way, values in seconds.items()}
    limit, ours = list(rates.values())[:2]
    where = f"{torch.get_num_threads()} threads"
    if device.type == "cuda":
        where = f"{torch.cuda.get_device_name(device)}, {asked.precision}{', compiled' * asked.compile}"
    print(f"{asked.encoder} at {SIZE[0]}x{SIZE[1]}, batch {asked.batch}, {where}")
    for way, rate in rates.items():
        print(
            f"{way:36} {rate:8.2f} images/s   {rate / limit:6.1%} of the limit   ours / it {ours / rate:5.2f}"
        )


if __name__ == "__main__":
    main()
