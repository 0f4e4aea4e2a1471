"""Weights of classes from how many pixels each has in the training labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segspade_core.config.losses import ClassWeighting


def count_pixels(targets: Iterable[npt.NDArray[Any]], num_classes: int) -> Tensor:
    """Pixels of each class in maps (H, W) uint8: (num_classes,) int64. Ids from num_classes up are void."""
    counts = np.zeros(256, np.int64)
    for ids in targets:
        counts += np.bincount(ids.ravel(), minlength=256)
    return torch.from_numpy(counts[:num_classes].copy())


def class_weights(kind: ClassWeighting, counts: Tensor, beta: float = 1 - 1e-6) -> Tensor:
    """Weight of each class; those of the classes that occur have mean 1.

    'inverse_frequency' is one over a class's pixels. Median-frequency balancing (Eigen and Fergus, ICCV 2015)
    is the same up to a factor, which the mean takes away, but for one thing: it takes a class's share of the
    images that have the class, which counts over the whole split do not tell.
    'effective_number' is (1 - beta) / (1 - beta^n) for n pixels.

    A class that does not occur weighs 1. In training that changes nothing but the smoothed part of a loss;
    on another split its pixels count as average ones rather than not at all.

    Args:
        counts: (C,) int64 pixels of each class.
        beta: in [0, 1), of 'effective_number'.

    Returns:
        (C,) float32, above 0.

    Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019, proposition 1
    and section 4, there with samples for pixels and a sum of C.
    """
    pixels = counts.detach().cpu().double()
    there = pixels > 0
    weights = torch.ones_like(pixels)
    if kind == "none" or not there.any():
        return weights.float()
    raw = 1 / pixels[there] if kind == "inverse_frequency" else (1 - beta) / (1 - beta ** pixels[there])
    weights[there] = raw / raw.mean()
    return weights.float()
