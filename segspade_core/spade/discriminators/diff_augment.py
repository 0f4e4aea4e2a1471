"""Changes of pictures that gradients pass through, made to all that the discriminator sees.

On small datasets the discriminator would learn the photographs by heart; it cannot where it never sees one
twice alike. The generator is not taught to paint such changes, because paintings are changed too.

Source: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020, section 4
and appendix A, whose ranges these are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segspade_core.labels import IGNORE_ID
from segspade_core.spade.discriminators.scene import Scene

_STREAM = 0xD1F  # these changes draw from a stream of their own
_FARTHEST = 1 / 8  # of a side that translation moves by
_HOLE = 1 / 2  # of a side that cutout takes


@dataclass(frozen=True)
class Change:
    """What is done to one sample; alike to photograph and painting, or the change would tell them apart."""

    brightness: float  # added to pictures in [-1, 1]; -0.5 to 0.5
    saturation: float  # times the distance from a pixel's grey; 0 to 2
    contrast: float  # times the distance from the picture's mean; 0.5 to 1.5
    down: int  # pixels
    right: int
    hole: tuple[slice, slice]  # rows and columns


def augment_scene(scene: Scene, policy: tuple[str, ...]) -> Scene:
    """The scene as a discriminator shall see it.

    Args:
        policy: any of 'colour', 'translation', 'cutout'; none returns the scene as it is.

    Returns:
        A scene of the same sizes whose `fake` depends on `scene.fake`. Pictures are 0 where there was nothing
        to move in and where they are cut out; label ids are 255 there, so that nobody is asked what is there.
        Semantics move with the picture, 0 coming in, and say what was cut out. Colours are not clamped: a
        clamped pixel would get no gradient.
    """
    if not policy:
        return scene
    changes = [draw_change(seed, scene.real.shape[-2:]) for seed in scene.seeds]
    real, fake, semantics, label_ids = scene.real, scene.fake, scene.semantics, scene.label_ids
    if "colour" in policy:
        real, fake = (_each(change_colours, pictures, changes) for pictures in (real, fake))
    if "translation" in policy:
        real, fake, semantics = (_each(move, planes, changes) for planes in (real, fake, semantics))
        label_ids = torch.stack([
            move(ids, change, IGNORE_ID) for ids, change in zip(label_ids, changes, strict=True)
        ])  # fmt: skip
    if "cutout" in policy:
        real, fake = (pictures * _outside_holes(pictures, changes) for pictures in (real, fake))
        label_ids = label_ids.clone()
        for ids, change in zip(label_ids, changes, strict=True):
            ids[change.hole] = IGNORE_ID
    return replace(scene, real=real, fake=fake, semantics=semantics, label_ids=label_ids)


def draw_change(seed: int, size: Iterable[int]) -> Change:
    """Draw all of it, whatever the policy, so that one change does not depend on what else is asked for."""
    random = np.random.default_rng([seed, _STREAM])
    brightness, saturation, contrast = random.uniform((-0.5, 0, 0.5), (0.5, 2, 1.5)).tolist()
    height, width = size
    farthest = [round(side * _FARTHEST) for side in (height, width)]
    down, right = (int(random.integers(-far, far + 1)) for far in farthest)
    hole = tuple(_hole(side, random) for side in (height, width))
    return Change(brightness, saturation, contrast, down, right, (hole[0], hole[1]))


def _hole(side: int, random: np.random.Generator) -> slice:
    """Half a side long; its middle may lie anywhere, so that the rim is cut out as often as the rest."""
    length = round(side * _HOLE)
    start = int(random.integers(side + 1)) - length // 2
    return slice(max(start, 0), min(start + length, side))


def change_colours(picture: Tensor, change: Change) -> Tensor:
    """(3, H, W) in [-1, 1] → the same shape, in this order: brightness, saturation, contrast."""
    picture = picture + change.brightness
    grey = picture.mean(dim=0, keepdim=True)
    picture = grey + change.saturation * (picture - grey)
    mean = picture.mean()
    return mean + change.contrast * (picture - mean)


def move(planes: Tensor, change: Change, fill: float = 0) -> Tensor:
    """(..., H, W) → the same shape, moved down and right by whole pixels, `fill` coming in."""
    height, width = planes.shape[-2:]
    down, right = change.down, change.right
    kept = planes[..., max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
    return F.pad(kept, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)), value=fill)


def _each(change_one: Callable[[Tensor, Change], Tensor], batch: Tensor, changes: list[Change]) -> Tensor:
    return torch.stack([change_one(sample, change) for sample, change in zip(batch, changes, strict=True)])


def _outside_holes(pictures: Tensor, changes: list[Change]) -> Tensor:
    mask = torch.ones(len(pictures), 1, *pictures.shape[-2:], device=pictures.device)
    for sample, change in zip(mask, changes, strict=True):
        sample[0][change.hole] = 0
    return mask
