"""The style encoder against its published form, and the distribution of styles against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segspade_core.config import GeneratorArchitecture
from segspade_core.spade.style import StyleEncoder, draw_style, kl_divergence, sample_style

ARCHITECTURE = GeneratorArchitecture(width=2, style_dim=5, style_width=2)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_divergence_is_that_of_torchs_distributions() -> None:
    """Fault: standard deviation for variance, summed over the batch, averaged over the code."""
    mu, logvar = noise(3, 5), noise(3, 5, seed=1)
    one = torch.distributions.Normal(mu, torch.exp(logvar / 2))
    expected = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_divergence(mu, logvar), expected)
    assert kl_divergence(torch.zeros(3, 5), torch.zeros(3, 5)) == 0


def test_draws_have_the_mean_and_the_variance_that_are_asked_for() -> None:
    """Fault: the variance taken for the standard deviation."""
    mu, logvar = torch.full((20_000, 2), 3.0), torch.tensor([[0.0, 2.0]]).expand(20_000, 2)
    drawn = sample_style(mu, logvar, noise(20_000, 2))
    # four standard errors
    torch.testing.assert_close(drawn.mean(0), torch.tensor([3.0, 3.0]), atol=0.08, rtol=0)
    torch.testing.assert_close(drawn.var(0), logvar[0].exp(), atol=0, rtol=0.04)
    one = torch.tensor([[1.0, 2.0]])
    assert torch.equal(sample_style(one, torch.zeros(1, 2), torch.zeros(1, 2)), one)


def test_a_seed_draws_the_same_style_again() -> None:
    """Fault: drawn from the global stream, or one number that both draws share."""
    style, chance = draw_style(7, 5)
    torch.manual_seed(3)
    again, same_chance = draw_style(7, 5)
    assert torch.equal(style, again)
    assert chance == same_chance
    assert not torch.equal(style, draw_style(8, 5)[0])
    chances = torch.stack([draw_style(seed, 1)[1] for seed in range(400)])
    assert chances.min() >= 0
    assert chances.max() < 1
    assert float((chances < 0.25).float().mean()) == pytest.approx(0.25, abs=0.09)


def test_the_published_encoder_has_the_published_size_and_names() -> None:
    with torch.device("meta"):
        encoder = StyleEncoder(GeneratorArchitecture(style_dim=256))
    shapes = {name: tuple(weight.shape) for name, weight in encoder.named_parameters()}
    assert shapes["steps.0.weight_orig"] == (64, 3, 3, 3)
    assert [shapes[f"steps.{step}.weight_orig"][0] for step in range(6)] == [64, 128, 256, 512, 512, 512]
    assert shapes["mu.weight"] == shapes["logvar.weight"] == (256, 8192)
    assert not any("bias" in name for name in shapes if name.startswith("steps"))


@pytest.mark.parametrize("size", [(256, 256), (48, 80), (300, 520)])
def test_agrees_with_the_published_layers_written_out(size: tuple[int, int]) -> None:
    """Fault: no instance norm or activation at the end, another slope, stride or side."""
    torch.manual_seed(0)
    encoder = StyleEncoder(ARCHITECTURE).eval()
    images = noise(2, 3, *size).clamp(-1, 1)
    x = images if size == (256, 256) else F.interpolate(images, (256, 256), mode="bilinear")
    for conv in encoder.steps:
        x = F.conv2d(x, conv.normalised_weight(), None, stride=2, padding=1)
        x = nn.LeakyReLU(0.2)(nn.InstanceNorm2d(x.shape[1])(x))
    assert x.shape == (2, 16, 4, 4)
    expected = [layer(x.reshape(2, -1)) for layer in (encoder.mu, encoder.logvar)]
    for found, wanted in zip(encoder(images), expected, strict=True):
        assert found.shape == (2, 5)
        torch.testing.assert_close(found, wanted)


def test_neighbours_in_a_batch_do_not_matter() -> None:
    """Fault: batch norm for instance norm."""
    encoder = StyleEncoder(ARCHITECTURE).eval()
    images = noise(2, 3, 32, 32)
    torch.testing.assert_close(encoder(images)[0][:1], encoder(images[:1])[0])
    assert encoder(images.bfloat16().float())[0].dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert {part.dtype for part in encoder(images)} == {torch.float32}
