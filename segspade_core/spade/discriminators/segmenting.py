"""A discriminator that labels every pixel: as one of the labels, or as painted.

Source: Schönfeld et al., "You Only Need Adversarial Supervision for Semantic Image Synthesis" (OASIS), ICLR
2021, section 3, "The OASIS discriminator", and equations 1 to 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.labels import void_mask
from segspade_core.spade.discriminators.scene import Judgement, Scene
from segspade_core.training.distributed import processes, summed

_NO_TARGET = -1  # a void pixel's; 255 can be the class 'painted'
_STREAM = 0x1AB  # LabelMix draws from a stream of its own


class SegmentingDiscriminator(nn.Module):
    """Judges pixels by a network that labels them; void pixels take no part."""

    void: Tensor

    def __init__(self, network: nn.Module, num_labels: int, *, labelmix: bool = True) -> None:
        """Judge by a network that any label map's discriminator can have.

        Args:
            network: (B, 3, H, W) in [-1, 1] → logits (B, num_labels + 1, H, W); the last class is 'painted'.
            labelmix: False leaves out that term, and the look at mixed pictures that it costs.
        """
        super().__init__()
        self.network, self.num_labels, self.labelmix = network, num_labels, labelmix
        table = torch.from_numpy(void_mask(np.arange(256, dtype=np.uint8)))
        self.register_buffer("void", table, persistent=False)

    def forward(self, scene: Scene) -> Judgement:
        """Equations 1 (both sides) and 3, from one look at each picture, and one at mixed ones."""
        targets = self.targets(scene.label_ids)
        known = targets != _NO_TARGET
        shares = class_shares(targets, self.num_labels)
        fake = self.network(scene.fake).float()  # (B, N + 1, H, W)
        real = self.network(scene.real).float()
        painted = targets.masked_fill(known, self.num_labels)
        discriminator = {
            "discriminator_real": balanced_cross_entropy(real, targets, shares.labels),
            "discriminator_fake": balanced_cross_entropy(
                fake, painted, shares.pixel.expand(self.num_labels + 1)
            ),
        }
        if self.labelmix:
            from_real = labelmix_mask(scene.label_ids, scene.seeds)
            mixed = self.network(torch.where(from_real, scene.real, scene.fake.detach())).float()
            difference = (mixed - torch.where(from_real, real, fake)).square().mean(dim=1)
            discriminator["labelmix"] = (difference * known).sum() * shares.pixel
        return Judgement(
            discriminator=discriminator,
            generator={"adversarial": balanced_cross_entropy(fake, targets, shares.labels)},
        )

    def targets(self, label_ids: Tensor) -> Tensor:
        """(B, H, W) label ids → int64 of the same shape, with -1 for every void pixel."""
        ids = label_ids.long()
        return ids.masked_fill(self.void[ids], _NO_TARGET)


@dataclass(frozen=True)
class Shares:
    """What one pixel's loss counts for, so that the losses' means over all processes are the batch's."""

    labels: Tensor  # (N + 1,) by its label
    pixel: Tensor  # scalar, where labels do not matter


def class_shares(targets: Tensor, num_labels: int) -> Shares:
    """One over the pixels of a class times the classes that there are, in the batches of all processes.

    Equation 1 weighs class c by alpha_c = H * W / E[pixels of c], the inverse of its frequency. Here this is
    divided by the number of classes in the batch, so that the weights of all known pixels have mean 1: the
    photograph's side weighs as much as the painting's, whose single class has weight 1, for any label map.
    The loss so is the mean over classes of the mean over a class's pixels.

    Args:
        targets: (B, H, W) int64, -1 for void.
    """
    known = targets[targets != _NO_TARGET]
    counts = summed(torch.bincount(known, minlength=num_labels + 1)).float()
    classes = (counts > 0).sum().clamp(min=1)
    # a loss is the sum of its own process's pixels, and gradients are averaged over processes
    whole = float(processes())
    return Shares(labels=whole / (counts.clamp(min=1) * classes), pixel=whole / counts.sum().clamp(min=1))


def balanced_cross_entropy(logits: Tensor, targets: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy of every pixel times the share of its class, summed; a scalar.

    Args:
        logits: (B, N + 1, H, W) float32.
        targets: (B, H, W) int64, -1 for void, which counts nothing.
        shares: (N + 1,) float32.
    """
    losses = F.cross_entropy(logits, targets, shares, ignore_index=_NO_TARGET, reduction="none")
    return losses.sum()


def labelmix_mask(label_ids: Tensor, seeds: tuple[int, ...]) -> Tensor:
    """Which pixels of a mixed picture come from the photograph: all of a label in a sample, or none.

    So seams run along the borders of objects only ("LabelMix regularization").

    Args:
        label_ids: (B, H, W) uint8.
        seeds: B numbers; a sample's mask depends on its own alone.

    Returns:
        (B, 1, H, W) bool.
    """
    sides = np.stack([np.random.default_rng([seed, _STREAM]).random(256) < 0.5 for seed in seeds])
    table = torch.from_numpy(sides).to(label_ids.device)  # (B, 256)
    return table.gather(1, label_ids.long().flatten(1)).view(label_ids.shape)[:, None]
