"""What the generator and the discriminator are trained to lower; every term is a float32 scalar."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segspade_core.config import LossWeights

Judged = list[list[Tensor]]  # per scale: the features of every layer, and the logits at last


def hinge_discriminator(real: Judged, fake: Judged) -> dict[str, Tensor]:
    """mean(max(0, 1 - D(real))) and mean(max(0, 1 + D(fake))), each averaged over the scales.

    Source: Lim and Ye, "Geometric GAN", 2017, equation 3.
    """
    return {
        "discriminator_real": torch.stack([F.relu(1 - scale[-1].float()).mean() for scale in real]).mean(),
        "discriminator_fake": torch.stack([F.relu(1 + scale[-1].float()).mean() for scale in fake]).mean(),
    }


def adversarial(fake: Judged) -> Tensor:
    """-mean(D(fake)), averaged over the scales: the generator's side of the hinge loss."""
    return -torch.stack([scale[-1].float().mean() for scale in fake]).mean()


def feature_matching(real: Judged, fake: Judged) -> Tensor:
    """Mean absolute difference of the discriminator's features, summed over layers, averaged over scales.

    The features of the photograph are constants here. Source: pix2pixHD, equation 4; as published, the logits
    do not take part.
    """
    differences = [
        torch.stack([
            (of_fake.float() - of_real.detach().float()).abs().mean()
            for of_real, of_fake in zip(real_scale[:-1], fake_scale[:-1], strict=True)
        ]).sum()
        for real_scale, fake_scale in zip(real, fake, strict=True)
    ]  # fmt: skip
    return torch.stack(differences).mean()


def weighted_sum(weights: LossWeights, terms: dict[str, Tensor]) -> Tensor:
    """The scalar to lower; terms that have no weight of their own count once."""
    by_name = weights.model_dump()
    return torch.stack([by_name.get(name, 1.0) * term for name, term in terms.items()]).sum()
