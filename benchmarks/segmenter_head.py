"""The segmenter's head beside the library's: upsampling, with its loss, backward too; and the choice.

Batch 4 at 192x384 with 34 classes, on one thread, interleaved; medians of CPU time and their ratios. The
encoder's own time is the limit that the head is to be small beside. The choice is of the best class that is
not void, of logits as upsampling leaves them; the library overwrites those of void, as no copy is needed.

Run: .venv/bin/python benchmarks/segmenter_head.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.labels import IGNORE_ID
from segspade_core.segmentation.choice import choose_classes
from segspade_core.segmentation.label_space import bars
from segspade_core.segmentation.loss import cross_entropy, upsampled_cross_entropy
from segspade_core.segmentation.model import STRIDE, BilinearUpsampling, Segmenter

BATCH, CLASSES, SIZE = 4, 34, (192, 384)
ROUNDS = 7


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    height, width = SIZE[0] // STRIDE, SIZE[1] // STRIDE
    scores = torch.randn(BATCH, CLASSES, height, width, requires_grad=True)
    targets = torch.randint(4, CLASSES, (BATCH, *SIZE), dtype=torch.uint8)
    targets[:, :8] = IGNORE_ID
    ours = BilinearUpsampling(CLASSES, STRIDE)
    library = nn.ConvTranspose2d(CLASSES, CLASSES, 2 * STRIDE, STRIDE, STRIDE // 2, bias=False)
    library.load_state_dict(ours.state_dict())
    model = Segmenter("resnet18", CLASSES).to(memory_format=torch.channels_last)
    images = torch.rand(BATCH, 3, *SIZE).contiguous(memory_format=torch.channels_last)

    def textbook() -> Tensor:
        return F.cross_entropy(library(scores), targets.long(), ignore_index=IGNORE_ID)

    # the same numbers, or the comparison is of nothing
    torch.testing.assert_close(ours(scores), library(scores), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(upsampled_cross_entropy(ours, scores, targets), textbook())
    ways: dict[str, Callable[[], Tensor]] = {
        "upsampling, library": lambda: library(scores).sum(),
        "upsampling, ours": lambda: ours(scores).sum(),
        "with loss, library": textbook,
        "with loss, ours, apart": lambda: cross_entropy(ours(scores), targets),
        "with loss, ours, in cells": lambda: upsampled_cross_entropy(ours, scores, targets),
        "encoder (ResNet-18)": lambda: model.scores(images).sum(),
    }
    middle = _measure({name: lambda way=way: way().backward() for name, way in ways.items()})
    print(f"upsampling: library / ours                {_ratio(middle, 0, 1):5.2f}")
    print(f"upsampling with loss: library / in cells  {_ratio(middle, 2, 4):5.2f}")
    print(f"upsampling with loss: apart / in cells    {_ratio(middle, 3, 4):5.2f}")
    print(f"in cells / encoder                        {_ratio(middle, 4, 5):5.2f}")
    compare_choices()


def compare_choices() -> None:
    """Measure and print: no gradient is taken of a choice."""
    logits = torch.randn(BATCH, CLASSES, *SIZE).contiguous(memory_format=torch.channels_last)
    added = bars(CLASSES, "ids")[:, None, None]
    ways: dict[str, Callable[[], Tensor]] = {
        "choice, library's argmax": lambda: logits.add_(added).argmax(1).to(torch.uint8),
        "choice, library's max": lambda: logits.add_(added).max(1).indices.to(torch.uint8),
        "choice, ours": lambda: choose_classes(logits),
    }
    assert all(torch.equal(way(), choose_classes(logits)) for way in ways.values())
    middle = _measure(ways)
    print(f"choice: library's max / ours              {_ratio(middle, 1, 2):5.2f}")


def _measure(ways: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Name → milliseconds a sample, which are printed too."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.process_time()
            way()
            times[name].append(time.process_time() - started)
    middle = {name: 1000 * median(values) / BATCH for name, values in times.items()}
    for name, ms in middle.items():
        print(f"{name:26} {ms:7.1f} ms a sample")
    return middle


def _ratio(middle: dict[str, float], above: int, below: int) -> float:
    values = list(middle.values())
    return values[above] / values[below]


if __name__ == "__main__":
    main()
