"""One SPADE layer pixel by pixel in float64, against the dense layer and against the tables of patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segspade_core.spade.fast.buffers import Buffers
from segspade_core.spade.fast.tables import LevelTables, Modulation
from segspade_core.spade.modulation import Spade
from segspade_core.spade.patches.numbering import HashedRows, SortedRows
from segspade_core.spade.semantics import one_hot_semantics


def spade_by_loops(
    spade: Spade, x: np.ndarray, label_ids: np.ndarray, edges: np.ndarray | None
) -> np.ndarray:
    """(B, C, h, w) float64 of x (B, C, h, w), label_ids and edges (B, h, w): equation 1, tap by tap."""
    weights = {name: entry.double().numpy() for name, entry in spade.state_dict().items()}
    shared, shared_bias = weights["mlp_shared.0.weight"], weights["mlp_shared.0.bias"]
    batch, _, height, width = x.shape

    def hidden(b: int, y: int, z: int) -> np.ndarray:
        if not (0 <= y < height and 0 <= z < width):
            return np.zeros(len(shared_bias))  # the second convolution pads with zeros
        total = shared_bias.copy()
        for i in range(3):
            for j in range(3):
                near, beside = y + i - 1, z + j - 1
                if 0 <= near < height and 0 <= beside < width:
                    total += shared[:, label_ids[b, near, beside], i, j]
                    if edges is not None and edges[b, near, beside]:
                        total += shared[:, -1, i, j]
        return np.maximum(total, 0)

    out = np.empty(x.shape)
    mean, variance = weights["param_free_norm.running_mean"], weights["param_free_norm.running_var"]
    for b in range(batch):
        for y in range(height):
            for z in range(width):
                gamma, beta = weights["mlp_gamma.bias"].copy(), weights["mlp_beta.bias"].copy()
                for i in range(3):
                    for j in range(3):
                        activation = hidden(b, y + i - 1, z + j - 1)
                        gamma += weights["mlp_gamma.weight"][:, :, i, j] @ activation
                        beta += weights["mlp_beta.weight"][:, :, i, j] @ activation
                normal = (x[b, :, y, z] - mean) / np.sqrt(variance + spade.param_free_norm.eps)
                out[b, :, y, z] = normal * (1 + gamma) + beta
    return out


def lively_spade(channels: int, semantic_channels: int, hidden: int, eps: float = 1e-5) -> Spade:
    """A layer in which every weight matters, statistics and biases too."""
    spade = Spade(channels, semantic_channels, hidden).eval()
    norm = spade.param_free_norm
    norm.eps = eps
    with torch.no_grad():
        for parameter in spade.parameters():
            parameter.normal_()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.2, 2)
    return spade.requires_grad_(False)


sizes = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 7))


@pytest.mark.parametrize("compiled", [True, False])
@given(
    size=sizes,
    num_labels=st.sampled_from([2, 5, 255]),
    has_edges=st.booleans(),
    pattern=st.sampled_from(["one", "few", "random"]),
    eps=st.sampled_from([1e-5, 0.3]),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, deadline=None)
def test_dense_and_tables_agree_with_the_loops(
    compiled: bool,
    size: tuple[int, int, int],
    num_labels: int,
    has_edges: bool,
    pattern: str,
    eps: float,
    seed: int,
) -> None:
    """Fault: relu(bias) beyond the border, gamma for beta, an edge forgotten, statistics or eps left out."""
    torch.manual_seed(seed)
    labels = {"one": 1, "few": 2, "random": num_labels}[pattern]
    label_ids = torch.randint(num_labels - labels, num_labels, size)
    edges = torch.rand(size) < 0.3 if has_edges else None
    spade = lively_spade(3, num_labels + has_edges, 4, eps)
    x = torch.randn(size[0], 3, *size[1:])
    expected = torch.from_numpy(
        spade_by_loops(spade, x.numpy(), label_ids.numpy(), None if edges is None else edges.numpy())
    ).float()
    dense = spade(x, one_hot_semantics(label_ids, edges, num_labels))
    torch.testing.assert_close(dense, expected, atol=1e-4, rtol=1e-4)

    modulation = Modulation(spade, num_labels)
    assert modulation.outside == num_labels * (1 + has_edges)

    def row_numbers(width: int) -> HashedRows | SortedRows:
        if compiled:
            return HashedRows(width)
        return SortedRows(width, modulation.outside + 1, torch.device("cpu"))

    tables = LevelTables({"norm": modulation}, row_numbers, Buffers(torch.device("cpu")))
    codes = (label_ids if edges is None else label_ids + num_labels * edges).short()
    numbers = tables.number(codes, budget_bytes=0)
    scale, shift = tables.table("norm")[numbers.long()].permute(0, 3, 1, 2).chunk(2, dim=1)
    torch.testing.assert_close(x * scale + shift, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("few", [True, False])
def test_both_ways_to_fill_a_table_agree(few: bool) -> None:
    """Fault: taps in another order, chunks that overlap, the bias left out or added twice."""
    torch.manual_seed(0)
    modulation = Modulation(lively_spade(100, 7, 5), 7)
    # few different 3x3 patches are multiplied first and summed then; many are gathered first
    hidden = torch.rand(40 if few else 1200, 5)
    fives = torch.randint(0, len(hidden), (1100, 9), dtype=torch.int32)
    out = torch.empty(1100, 200)
    modulation.fill(out, fives, hidden, Buffers(torch.device("cpu")))
    expected = modulation.bias.double() + torch.einsum(
        "nth,thc->nc", hidden[fives.long()].double(), modulation.taps.double()
    )
    torch.testing.assert_close(out, expected.float(), atol=1e-4, rtol=1e-4)
