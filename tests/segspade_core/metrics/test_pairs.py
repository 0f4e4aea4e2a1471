"""Likeness of two images against slow definitions, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from segspade_core.errors import WeightsError
from segspade_core.metrics.lpips import load_lpips, lpips
from segspade_core.metrics.pairs import feature_difference, psnr_db, ssim


def image(seed: int, height: int = 14, width: int = 19) -> Tensor:
    """(1, 3, H, W) float32 in [0, 255]: smooth, with noise."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, height)[:, None] + np.linspace(0, 30, width)
    return torch.from_numpy((ramp + random.normal(0, 12, (1, 3, height, width))).clip(0, 255)).float()


def ssim_by_loops(first: Tensor, second: Tensor) -> float:
    """Equation 13 of Wang et al. at every pixel of every channel, borders reflected."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / np.outer(taps, taps).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for a, b in zip(first[0].double().numpy(), second[0].double().numpy(), strict=True):
        a, b = np.pad(a, 5, mode="reflect"), np.pad(b, 5, mode="reflect")
        for y in range(a.shape[0] - 10):
            for x in range(a.shape[1] - 10):
                p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
                mean_p, mean_q = (window * p).sum(), (window * q).sum()
                var_p, var_q = (window * (p - mean_p) ** 2).sum(), (window * (q - mean_q) ** 2).sum()
                both = (window * (p - mean_p) * (q - mean_q)).sum()
                values.append(
                    (2 * mean_p * mean_q + c1)
                    * (2 * both + c2)
                    / ((mean_p**2 + mean_q**2 + c1) * (var_p + var_q + c2))
                )
    return float(np.mean(values))


def test_ssim_is_that_of_the_definition() -> None:
    """Fault: a data range of 1, another window, or rounding in float32 that shows."""
    first, second = image(1), image(2) * 0.8
    assert ssim(first, second) == pytest.approx(ssim_by_loops(first, second), abs=1e-4)
    assert ssim(second, first) == pytest.approx(ssim(first, second), abs=1e-6)


def test_an_image_is_all_like_itself() -> None:
    first = image(3)
    assert ssim(first, first) == pytest.approx(1, abs=1e-6)
    assert psnr_db(first, first) == math.inf
    flat = torch.full((1, 3, 12, 12), 200.0)
    assert ssim(flat, flat) == pytest.approx(1, abs=1e-6)


def test_psnr_by_hand() -> None:
    """10 at every pixel: 20 log10(255 / 10) = 28.13. Fault: a range taken from the images, or of 1."""
    first = torch.full((1, 3, 8, 8), 100.0)
    assert psnr_db(first, first + 10) == pytest.approx(20 * math.log10(25.5), abs=1e-4)


def test_feature_difference_by_hand() -> None:
    """Two layers of two channels. At right angles 2, opposite 4, alike 0 whatever the length.

    First layer: 2 at one place, 0 at the other, so 1. Second layer: 4. The mean of both is 2.5.
    """
    first = [torch.tensor([[[[3.0, 1.0]], [[0.0, 1.0]]]]), torch.tensor([[[[1.0]], [[0.0]]]])]
    second = [torch.tensor([[[[0.0, 5.0]], [[2.0, 5.0]]]]), torch.tensor([[[[-7.0]], [[0.0]]]])]
    assert feature_difference(first, second) == pytest.approx(2.5)
    assert feature_difference(first, first) == 0
    nothing = [torch.zeros(1, 2, 1, 1)]
    assert feature_difference(nothing, nothing) == 0


def alexnet(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torchvision.models.alexnet(weights=None).features.eval()


def packed(features: torch.nn.Module) -> bytes:
    import io

    buffer = io.BytesIO()
    entries = {f"features.{name}": entry for name, entry in features.state_dict().items()}
    # as in torchvision's file, which has the classifier too
    torch.save({**entries, "classifier.6.bias": torch.zeros(1000)}, buffer)
    return buffer.getvalue()


def test_lpips_is_that_of_the_paper_on_the_file_s_network() -> None:
    """Peer: equation 1 written out. Fault: random weights kept, layers exchanged, a range of [0, 1]."""
    features = alexnet()
    first, second = image(4, 48, 64) / 255, image(5, 48, 64) / 255
    network = load_lpips(packed(features), "alexnet.pth")
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
    weights = {name: entry for name, entry in network.state_dict().items() if name.startswith("lin")}
    a, b = ((2 * x - 1 - shift) / scale for x in (first, second))
    expected, layer = 0.0, 0
    with torch.no_grad():
        for part in features[:12]:
            a, b = part(a), part(b)
            if isinstance(part, torch.nn.ReLU):
                unit_a, unit_b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
                # no change is where both are zero vectors
                squares = (unit_a.nan_to_num() - unit_b.nan_to_num()) ** 2
                expected += float((squares * weights[f"lin{layer}.model.1.weight"][0]).sum(1).mean())
                layer += 1
    assert layer == 5
    assert lpips(network, first, second) == pytest.approx(expected, rel=1e-3)
    assert lpips(network, first, first) == 0
    assert lpips(network, first[..., :31, :], second[..., :31, :]) is None


def test_another_network_is_refused() -> None:
    features = alexnet()
    del features[10]
    with pytest.raises(
        WeightsError, match=r"a\.pth: entry 'features\.10\.weight' of shape 256x256x3x3 is missing"
    ):
        load_lpips(packed(features), "a.pth")
