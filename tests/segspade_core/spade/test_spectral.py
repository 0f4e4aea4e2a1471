"""Spectral norm, against the singular values and against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils import parametrizations

from segspade_core.spade.spectral import SpectralConv2d


def test_after_many_iterations_the_largest_singular_value_is_one() -> None:
    """Fault: sigma of the wrong matrix, such as (out * k, in * k), or the Frobenius norm."""
    torch.manual_seed(0)
    conv = SpectralConv2d(3, 5, 3)
    conv.power_iteration(200)
    weight = conv.eval().normalised_weight()
    assert torch.linalg.svdvals(weight.flatten(1))[0].item() == pytest.approx(1, abs=1e-5)


def test_agrees_with_torch_once_converged() -> None:
    """Fault: u before v, no iteration in training, or one in evaluation; gradients that ignore sigma."""
    torch.manual_seed(0)
    ours, plain = SpectralConv2d(3, 5, 3, stride=2, padding=1), torch.nn.Conv2d(3, 5, 3, stride=2, padding=1)
    theirs = parametrizations.spectral_norm(plain)
    kept = theirs.parametrizations.weight
    with torch.no_grad():
        kept.original.copy_(ours.weight_orig)
        assert theirs.bias is not None
        assert ours.bias is not None
        theirs.bias.copy_(ours.bias)
        ours.weight_u.copy_(kept[0]._u)
        ours.weight_v.copy_(kept[0]._v)
    x = torch.randn(2, 3, 8, 8)
    # torch's new form moves u before v, the published one v before u: the same pair once they have converged
    for _ in range(60):
        ours(x)
        theirs(x)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        torch.testing.assert_close(ours(x), theirs(x))
    ours.zero_grad()
    theirs.zero_grad()
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    # a sum in another order on another number of threads: a few units in the last place
    torch.testing.assert_close(ours.weight_orig.grad, kept.original.grad, rtol=2e-5, atol=2e-5)


def test_evaluation_uses_the_stored_vectors() -> None:
    """Fault: published weights iterated once more on loading, or divided by the true norm instead."""
    conv = SpectralConv2d(1, 2, 1, bias=False).eval()
    with torch.no_grad():
        conv.weight_orig.copy_(torch.tensor([3.0, 4.0]).reshape(2, 1, 1, 1))
        conv.weight_u.copy_(torch.tensor([1.0, 0.0]))
        conv.weight_v.copy_(torch.tensor([1.0]))
    # sigma = u^T W v = 3, although the largest singular value is 5
    out = conv(torch.ones(1, 1, 1, 1))
    torch.testing.assert_close(out.flatten(), torch.tensor([1.0, 4 / 3]))
    assert conv.weight_u.tolist() == [1, 0]
    torch.testing.assert_close(conv.folded()(torch.ones(1, 1, 1, 1)), out)


def test_the_entries_have_their_published_names() -> None:
    assert list(SpectralConv2d(2, 3, 3).state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    assert SpectralConv2d(2, 3, 3).state_dict()["weight_v"].shape == (18,)


def test_bf16_autocast_leaves_the_norm_in_float32() -> None:
    """Fault: sigma computed in bf16 is off by parts in a hundred."""
    torch.manual_seed(0)
    conv = SpectralConv2d(8, 8, 3).eval()
    expected = conv.normalised_weight()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(conv.normalised_weight(), expected)
