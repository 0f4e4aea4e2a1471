"""The sparse form of training against the dense one: pictures, gradients of every weight, statistics."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segspade_core.config import GeneratorArchitecture
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.patches import lookups
from segspade_core.spade.patches.pyramid import LabelPyramid, Patches
from segspade_core.spade.semantics import one_hot_semantics, shrink_semantics

LABELS = 6


def maps(batch: int, height: int, width: int, block: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Label ids in blocks of one label, and edges at random."""
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, LABELS, (batch, height, width), generator=random, dtype=torch.uint8)
    ids = ids[:, ::block, ::block].repeat_interleave(block, 1).repeat_interleave(block, 2)[:, :height, :width]
    return ids.contiguous(), torch.rand(batch, height, width, generator=random) < 0.1


def assert_alike(label_ids: torch.Tensor, edges: torch.Tensor | None, code_dim: int, seed: int) -> None:
    """Train one step of both forms of the same network in float64-like closeness."""
    torch.manual_seed(seed)
    architecture = GeneratorArchitecture(
        num_labels=LABELS, instance_edges=edges is not None, width=3, max_channels=8, hidden=4, upsamplings=2,
        style_dim=code_dim,
    )  # fmt: skip
    dense = SpadeGenerator(architecture).train()
    sparse = copy.deepcopy(dense)
    semantics = one_hot_semantics(label_ids, edges, LABELS)
    code = torch.randn(len(label_ids), code_dim) if code_dim else None
    towards = torch.randn(len(label_ids), 3, *label_ids.shape[1:])
    pictures = []
    for network, given_maps in (
        (dense, semantics),
        (sparse, LabelPyramid(label_ids, edges, semantics, LABELS)),
    ):
        pictures.append(network(given_maps, code))
        (pictures[-1] * towards).sum().backward()
    torch.testing.assert_close(pictures[1], pictures[0], rtol=1e-4, atol=2e-5)
    # every gradient on the scale of the largest: what a norm takes away again has none but rounding
    gradients = [weight.grad for weight in dense.parameters() if weight.grad is not None]
    scale = max(float(gradient.abs().max()) for gradient in gradients)
    for (name, expected), weight in zip(dense.named_parameters(), sparse.parameters(), strict=True):
        assert (weight.grad is None) == (expected.grad is None), name
        if expected.grad is not None and weight.grad is not None:
            difference = float((weight.grad - expected.grad).abs().max())
            assert difference <= 1e-4 * scale, f"{name}: {difference} on a scale of {scale}"
    for (name, kept), found in zip(dense.named_buffers(), sparse.buffers(), strict=True):
        torch.testing.assert_close(found, kept, rtol=1e-4, atol=1e-5, msg=name)


@given(
    batch=st.integers(1, 3),
    height=st.integers(2, 8),
    width=st.integers(2, 8),
    block=st.sampled_from([1, 4, 40]),
    edges=st.booleans(),
    code_dim=st.sampled_from([0, 3]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_pictures_and_gradients_are_the_dense_ones(
    batch: int, height: int, width: int, block: int, edges: bool, code_dim: int, seed: int
) -> None:
    """Fault: relu(bias) beyond the borders, gamma for beta, a code of another sample, taps turned round."""
    label_ids, marked = maps(batch, 4 * height, 4 * width, block, seed)
    assert_alike(label_ids, marked if edges else None, code_dim, seed)


def test_without_kernels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: the way of a GPU, or of a machine without Numba, is another function."""
    monkeypatch.setattr(lookups, "kernels", None)
    label_ids, edges = maps(2, 32, 32, 8, 0)
    assert_alike(label_ids, edges, 3, 0)
    assert_alike(label_ids, None, 0, 1)


def test_maps_of_many_patches_go_the_dense_way() -> None:
    """Fault: a map of noise costs more than the dense form; or no map ever goes the sparse way."""
    label_ids, edges = maps(1, 32, 32, 1, 0)
    semantics = one_hot_semantics(label_ids, edges, LABELS)
    noise = LabelPyramid(label_ids, edges, semantics, LABELS).at(2)
    assert isinstance(noise, torch.Tensor)
    assert torch.equal(noise, shrink_semantics(semantics, 2))
    plain, none = torch.full_like(label_ids, 3), torch.zeros_like(edges)
    one_label = LabelPyramid(plain, none, one_hot_semantics(plain, none, LABELS), LABELS).at(1)
    assert isinstance(one_label, Patches)
    assert len(one_label.fives) == 25  # by how near each of the four borders is: 5 times 5
    assert one_label.pixels.shape == (1, 32, 32)


def test_255_is_label_0() -> None:
    """Fault: void has a code of its own, which is that of the first label with an edge."""
    label_ids = torch.full((1, 16, 16), 255, dtype=torch.uint8)
    label_ids[:, :, 8:] = 4
    assert_alike(label_ids, torch.zeros(1, 16, 16, dtype=torch.bool), 0, 0)
