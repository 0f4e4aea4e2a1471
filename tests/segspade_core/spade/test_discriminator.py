"""The discriminator's shapes and scales, and the losses by hand."""

from __future__ import annotations

import pytest
import torch

from segspade_core.config import DiscriminatorArchitecture, LossWeights
from segspade_core.spade.discriminator import Discriminator
from segspade_core.spade.losses import (
    adversarial,
    feature_matching,
    generator_terms,
    hinge_discriminator,
    weighted_sum,
)


def test_the_second_scale_sees_half_the_picture() -> None:
    """Fault: both scales at full size; the strides of one layer more or less."""
    network = Discriminator(DiscriminatorArchitecture(width=4, scales=2, layers=2), semantic_channels=3)
    judged = network(torch.zeros(2, 3, 32, 64), torch.zeros(2, 3, 32, 64))
    # 4x4 with padding 2: n → n // 2 + 1 with stride 2, n + 1 without
    assert [tuple(f.shape[1:]) for f in judged[0]] == [(4, 17, 33), (8, 9, 17), (16, 10, 18), (1, 11, 19)]
    assert [tuple(f.shape[1:]) for f in judged[1]] == [(4, 9, 17), (8, 5, 9), (16, 6, 10), (1, 7, 11)]


def test_one_sample_is_judged_without_its_neighbours() -> None:
    """Fault: batch norm for instance norm."""
    torch.manual_seed(0)
    network = Discriminator(
        DiscriminatorArchitecture(width=4, scales=1, layers=2), semantic_channels=2
    ).eval()
    semantics, images = torch.randn(2, 2, 16, 16), torch.randn(2, 3, 16, 16)
    together = network(semantics, images)[0][-1]
    alone = network(semantics[:1], images[:1])[0][-1]
    torch.testing.assert_close(together[:1], alone)


def scales(*logits: list[float], feature: float = 0.0) -> list[list[torch.Tensor]]:
    return [[torch.full((1, 1, 2, 2), feature), torch.tensor(values)] for values in logits]


def test_hinge_by_hand() -> None:
    """Fault: signs swapped, the margin forgotten, a sum for a mean, scales weighted by their size."""
    # real: scale 1: (max(0, 1 - 2) + max(0, 1 - 0.5)) / 2 = 0.25; scale 2: 1 - (-1) = 2; mean 1.125
    # fake: scale 1: (max(0, 1 + -3) + max(0, 1 + 1)) / 2 = 1; scale 2: 1.5; mean 1.25
    terms = hinge_discriminator(scales([2.0, 0.5], [-1.0]), scales([-3.0, 1.0], [0.5]))
    assert {name: term.item() for name, term in terms.items()} == {
        "discriminator_real": 1.125,
        "discriminator_fake": 1.25,
    }
    # generator: -(mean(-3, 1) + 0.5) / 2 = -(-1 + 0.5) / 2
    assert adversarial(scales([-3.0, 1.0], [0.5])).item() == 0.25


def test_feature_matching_by_hand() -> None:
    """Fault: squared differences, the logits counted, gradients into the photograph's features."""
    real = [[torch.tensor([1.0, 3.0], requires_grad=True), torch.tensor([2.0]), torch.tensor([100.0])]]
    fake = [[torch.tensor([2.0, 0.0], requires_grad=True), torch.tensor([2.5]), torch.tensor([0.0])]]
    loss = feature_matching(real, fake)  # (1 + 3) / 2 + 0.5
    assert loss.item() == 2.5
    assert feature_matching(real + real, fake + fake).item() == 2.5  # mean over scales
    loss.backward()
    assert real[0][0].grad is None
    assert fake[0][0].grad is not None


def test_terms_are_weighted_by_name() -> None:
    """Fault: two weights swapped; a term of weight 0 computed all the same."""
    weights = LossWeights(adversarial=2.0, feature_matching=0.0, reconstruction=3.0)
    real, fake = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), -0.5)
    terms = generator_terms(weights, scales([0.0]), scales([1.0], feature=7.0), real, fake)
    assert {name: term.item() for name, term in terms.items()} == {"adversarial": -1.0, "reconstruction": 0.5}
    assert weighted_sum(weights, terms).item() == pytest.approx(2 * -1 + 3 * 0.5)
