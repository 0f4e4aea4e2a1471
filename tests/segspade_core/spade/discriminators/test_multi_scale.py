"""The patch discriminator's shapes, scales and judgement, and its losses by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segspade_core.config import PatchArchitecture, UNetArchitecture
from segspade_core.spade.discriminators import build_discriminator
from segspade_core.spade.discriminators.multi_scale import MultiScaleDiscriminator
from segspade_core.spade.discriminators.scene import Scene
from segspade_core.spade.losses import adversarial, feature_matching, hinge_discriminator


def small(scales: int = 1, semantic_channels: int = 3) -> MultiScaleDiscriminator:
    torch.manual_seed(0)
    return MultiScaleDiscriminator(PatchArchitecture(width=4, scales=scales, layers=2), semantic_channels)


def scene(batch: int = 2, size: tuple[int, int] = (16, 24)) -> Scene:
    """Random pictures of three labels."""
    torch.manual_seed(1)
    label_ids = torch.randint(0, 3, (batch, *size), dtype=torch.uint8)
    semantics = torch.nn.functional.one_hot(label_ids.long(), 3).permute(0, 3, 1, 2).float()
    real, fake = torch.rand(2, batch, 3, *size) * 2 - 1
    return Scene(semantics, label_ids, real, fake.requires_grad_(), tuple(range(batch)))


def test_the_second_scale_sees_half_the_picture() -> None:
    """Fault: both scales at full size; the strides of one layer more or less."""
    judged = small(scales=2).judge(torch.zeros(2, 3, 32, 64), torch.zeros(2, 3, 32, 64))
    # 4x4 with padding 2: n → n // 2 + 1 with stride 2, n + 1 without
    assert [tuple(f.shape[1:]) for f in judged[0]] == [(4, 17, 33), (8, 9, 17), (16, 10, 18), (1, 11, 19)]
    assert [tuple(f.shape[1:]) for f in judged[1]] == [(4, 9, 17), (8, 5, 9), (16, 6, 10), (1, 7, 11)]


def test_one_sample_is_judged_without_its_neighbours() -> None:
    """Fault: batch norm for instance norm."""
    network, seen = small().eval(), scene()
    together = network.judge(seen.semantics, seen.real)[0][-1]
    alone = network.judge(seen.semantics[:1], seen.real[:1])[0][-1]
    torch.testing.assert_close(together[:1], alone)


def test_photograph_and_painting_keep_their_sides() -> None:
    """Fault: real and fake swapped; the label map left out."""
    network, seen = small(scales=2).eval(), scene()
    judgement = network(seen)
    real, fake = (network.judge(seen.semantics, pictures) for pictures in (seen.real, seen.fake))
    assert list(judgement.discriminator) == ["discriminator_real", "discriminator_fake"]
    assert list(judgement.generator) == ["adversarial", "feature_matching"]
    expected = {
        "discriminator_real": 1 - sum(scale[-1].clamp(max=1).mean() for scale in real) / 2,
        "discriminator_fake": 1 + sum(scale[-1].clamp(min=-1).mean() for scale in fake) / 2,
        "adversarial": -sum(scale[-1].mean() for scale in fake) / 2,
        "feature_matching": feature_matching(real, fake),
    }
    torch.testing.assert_close({**judgement.discriminator, **judgement.generator}, expected)
    assert not torch.allclose(real[0][-1], fake[0][-1])
    other = replace(seen, semantics=seen.semantics.roll(1, dims=1))
    assert network(other).generator["adversarial"] != judgement.generator["adversarial"]


def test_each_side_learns_from_one_look() -> None:
    """Fault: a painting detached from a term of the generator's, or weights that no term reaches."""
    network, seen = small(scales=2), scene()
    drawn = seen.fake
    judgement = network(replace(seen, fake=drawn * 1.0))  # as after an augmentation: no leaf
    for name, term in judgement.generator.items():
        (towards,) = torch.autograd.grad(term, [drawn], retain_graph=True)
        assert (towards.abs().amax(dim=(2, 3)) > 0).all(), name
    weights = list(network.parameters())
    sum(judgement.discriminator.values()).backward(inputs=weights)
    assert all(weight.grad is not None for weight in weights)
    assert drawn.grad is None


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


@pytest.mark.parametrize("labelmix", [True, False])
def test_the_architecture_names_what_is_built(labelmix: bool) -> None:
    """Fault: no class for paintings; labels taken for channels; a term of no weight computed all the same."""
    seen = scene()
    patch = build_discriminator(PatchArchitecture(width=4, layers=2), 35, 3, labelmix=labelmix)
    assert set(patch(seen).generator) == {"adversarial", "feature_matching"}
    unet = build_discriminator(UNetArchitecture(width=4, depth=2), 5, 99, labelmix=labelmix)
    assert unet.network(seen.real).shape == (2, 6, 16, 24)
    judgement = unet(seen)
    assert set(judgement.generator) == {"adversarial"}
    assert ("labelmix" in judgement.discriminator) == labelmix
