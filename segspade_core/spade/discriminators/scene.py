"""What a discriminator is shown in one step, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Scene:
    """Photographs and paintings of the same label maps."""

    semantics: Tensor  # (B, S, H, W) float32, one-hot
    label_ids: Tensor  # (B, H, W) uint8
    real: Tensor  # (B, 3, H, W) in [-1, 1]
    fake: Tensor  # (B, 3, H, W) in [-1, 1], a leaf: the generator's gradient is taken for it
    seeds: tuple[int, ...]  # B numbers to draw augmentations from: alike after a resume, and on any process


@dataclass(frozen=True)
class Judgement:
    """Terms to lower, unweighted float32 scalars, named as in `LossWeights` where they have a weight there.

    Both come from one look at each picture: the discriminator's terms are differentiated for its weights, the
    generator's for `Scene.fake`.
    """

    discriminator: dict[str, Tensor]
    generator: dict[str, Tensor]
