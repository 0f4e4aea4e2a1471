"""Is painted night night? Classifiers of city and time of day, trained on photographs, judge paintings.

A generator that was trained with both conditions paints maps of frames it has not seen, each under every
city and time of day that it knows. The classifiers are small networks that look at 48x96 pixels; how well
they name photographs of frames they have not seen stands beside. The aims: the asked time of day on at least
90 % of the paintings, the asked city on at least 80 %.

Run: .venv/bin/python benchmarks/conditions.py [--weights shipped:minicity] [--panel panel.png]
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import GeneratorImportConfig, MinicityConfig, PaintConfig
from segspade_core.datasets.minicity import MinicityFrame, draw_frame
from segspade_core.datasets.sample import Sample
from segspade_core.labels import ids_to_colours
from segspade_core.spade import Painter, SpadeGenerator, import_generator, load_generator, painting_codes

SIZE = "192x384"
CONDITIONS = ("city", "time_of_day")
EPOCHS = 40
UNSEEN = 120  # photographs that the classifiers are tried on


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="shipped:minicity", help="as `segspade import-generator` takes")
    parser.add_argument("--maps", type=int, default=8, help="label maps, each painted under every condition")
    parser.add_argument("--photographs", type=int, default=800, help="to train the classifiers on")
    parser.add_argument("--panel", type=Path, help="where to put a picture of one map under every condition")
    asked = parser.parse_args()

    generator = load_generator(import_generator(GeneratorImportConfig(weights=asked.weights))[0])
    architecture = generator.architecture
    known = {"city": architecture.cities, "time_of_day": architecture.times_of_day}
    # the demo's city, whose streets no shipped generator has seen
    city = MinicityConfig(train=asked.photographs, val=UNSEEN, size=SIZE, seed=0)
    train = [draw_frame(city, "train", index) for index in range(asked.photographs)]
    val = [draw_frame(city, "val", index) for index in range(UNSEEN)]

    photographs = shrunk([frame.sample.image for frame in train])
    unseen = shrunk([frame.sample.image for frame in val])
    painted, wanted = paint_all(Painter(generator), generator, [frame.sample for frame in val[: asked.maps]])
    paintings = shrunk(painted)
    for condition in CONDITIONS:
        names = known[condition]
        if not names:
            print(f"{condition}: the generator does not know it")
            continue
        classifier = train_classifier(photographs, indices(train, condition, names), len(names))
        on_photographs = (classifier(unseen).argmax(1) == indices(val, condition, names)).float().mean()
        target = torch.tensor([names.index(each[condition]) for each in wanted])
        named = classifier(paintings).argmax(1) == target
        print(
            f"{condition}: the asked one is named on {named.float().mean():.1%} of {len(painted)} paintings; "
            f"the own one on {on_photographs:.1%} of {len(val)} photographs"
        )
        for index, name in enumerate(names):
            print(f"    {name}: {named[target == index].float().mean():.1%}")
    if asked.panel:
        sizes = (max(1, len(known[condition])) for condition in CONDITIONS)
        put_panel(asked.panel, painted, val[0].sample.label_ids, *sizes)


def indices(frames: list[MinicityFrame], condition: str, names: tuple[str, ...]) -> Tensor:
    """(N,) int64: the condition of each frame as drawn."""
    return torch.tensor([names.index(getattr(frame.name, condition)) for frame in frames])


def shrunk(images: list[np.ndarray]) -> Tensor:
    """(H, W, 3) uint8 images → (N, 3, 48, 96) in [-1, 1]: so small that colours count, not brush strokes."""
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return F.adaptive_avg_pool2d(pixels, (48, 96))


def train_classifier(images: Tensor, target: Tensor, classes: int) -> nn.Module:
    """A small convolutional network, trained on (N, 3, h, w) photographs with flips and noise."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels_in, channels_out in itertools.pairwise((3, 24, 48, 96)):
        conv = nn.Conv2d(channels_in, channels_out, 5, 2, 2, bias=False)
        layers += [conv, nn.BatchNorm2d(channels_out), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, classes))
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    for epoch in range(EPOCHS):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 - epoch / EPOCHS)
        for index in torch.randperm(len(images)).split(20):
            batch = torch.where(torch.rand(len(index), 1, 1, 1) < 0.5, images[index].flip(-1), images[index])
            batch = batch + 0.1 * torch.rand(len(index), 1, 1, 1) * torch.randn_like(batch)
            loss = F.cross_entropy(network(batch), target[index], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval().requires_grad_(False)


def paint_all(
    painter: Painter, generator: SpadeGenerator, samples: list[Sample]
) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
    """Every map under every city and time of day that the generator knows, and what was asked of each."""
    architecture = generator.architecture
    painted, wanted = [], []
    for sample in samples:
        for city, time in itertools.product(
            architecture.cities or (None,), architecture.times_of_day or (None,)
        ):
            config = PaintConfig(city=city, time_of_day=time)
            codes = painting_codes(generator, None, config, {}, 1)
            code = None if codes is None else codes[0]
            painted.append(painter.paint(sample.label_ids, sample.instance_ids, code))
            wanted.append({"city": city, "time_of_day": time})
    return painted, wanted


def put_panel(path: Path, painted: list[np.ndarray], label_ids: np.ndarray, cities: int, times: int) -> None:
    """The first map in colours, and beneath it a row for each time of day with a column for each city."""
    grid = np.stack(painted[: cities * times]).reshape(cities, times, *painted[0].shape)
    rows = [np.hstack(list(grid[:, time])) for time in range(times)]
    top = np.full((label_ids.shape[0], rows[0].shape[1], 3), 255, np.uint8)
    top[:, : label_ids.shape[1]] = ids_to_colours(label_ids)
    Image.fromarray(np.vstack([top, *rows])).save(path)


if __name__ == "__main__":
    main()
