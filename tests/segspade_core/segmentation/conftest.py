"""A ResNet in names and strides, but small: the loops are under test here, not the encoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

WIDTH = 6


class TinyResNet(nn.Module):
    """Ten thousand times smaller; 1/32 of the size at the end, as the real ones."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self.layer(width, 1)
        self.layer2, self.layer3, self.layer4 = (self.layer(width, 2) for _ in range(3))
        self.fc = nn.Linear(width, 10)

    @staticmethod
    def layer(width: int, stride: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )


@pytest.fixture(scope="module")
def tiny_encoder() -> Iterator[None]:
    """Every encoder becomes a TinyResNet while the module's tests run."""

    def get_model(name: str, weights: Any = None) -> nn.Module:
        if not name.startswith("resnet"):
            raise ValueError(f"Unknown model {name}")
        return TinyResNet()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchvision.models.get_model", get_model)
        yield


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Such small work is slower on two threads, and far slower where other work shares the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
