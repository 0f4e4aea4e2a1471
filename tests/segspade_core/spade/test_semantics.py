"""The channels SPADE is conditioned on, against definitions by loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segspade_core.errors import InputError
from segspade_core.labels import INSTANCE_IDS
from segspade_core.spade.semantics import (
    instance_edges,
    instances_from_labels,
    one_hot_semantics,
    shrink_semantics,
)

maps = arrays(
    np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.sampled_from([*range(35), 255])
)
few = arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.sampled_from([7, 24, 26]))


@given(maps)
@settings(max_examples=30, deadline=None)
def test_one_hot_agrees_with_the_definition_pixel_by_pixel(label_ids: np.ndarray) -> None:
    """Fault: channels of the wrong axis, rectification border moved, an index out of range for 255."""
    semantics = one_hot_semantics(torch.from_numpy(label_ids)[None], None, 35)
    expected = np.zeros((1, 35, *label_ids.shape), np.float32)
    for (row, column), label_id in np.ndenumerate(label_ids):
        expected[0, 0 if label_id == 255 else label_id, row, column] = 1
    np.testing.assert_array_equal(semantics.numpy(), expected)


def test_an_id_without_a_channel_is_named() -> None:
    """Fault: 26 with 20 channels is an index error deep in a kernel, or is painted as something else."""
    with pytest.raises(InputError) as caught:
        one_hot_semantics(torch.tensor([[[19, 20, 26, 255]]], dtype=torch.uint8), None, 20)
    assert str(caught.value) == (
        "the label maps hold the ids 20, 26; this generator knows 0 to 19, and 255 for void. "
        "Map them to ids that it knows, or take a generator of more labels"
    )


@given(arrays(np.int32, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 2)))
@settings(max_examples=40, deadline=None)
def test_edges_agree_with_the_definition_pixel_by_pixel(instance_ids: np.ndarray) -> None:
    """Fault: only one side marked, diagonals counted, one direction left out, borders wrapped round."""
    height, width = instance_ids.shape
    expected = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                near = row + down, column + right
                if 0 <= near[0] < height and 0 <= near[1] < width:
                    differs = instance_ids[near] != instance_ids[row, column]
                    expected[row, column] = expected[row, column] or differs
    edges = instance_edges(torch.from_numpy(instance_ids)[None])
    assert edges.dtype == torch.bool
    np.testing.assert_array_equal(edges[0].numpy(), expected)


def test_edges_by_hand() -> None:
    """Both sides of the change, and nothing else: 4-neighbours only."""
    instances = torch.tensor([[[7, 7, 7], [7, 7, 7], [7, 7, 26000]]])
    assert instance_edges(instances)[0].int().tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 1]]


@given(few)
@settings(max_examples=40, deadline=None)
def test_instances_are_the_components_a_flood_finds(label_ids: np.ndarray) -> None:
    """Fault: diagonal neighbours joined, touching classes joined, stuff numbered, counting from 1."""
    expected = label_ids.astype(int)
    count: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    for start, label_id in np.ndenumerate(label_ids):
        if label_id not in INSTANCE_IDS or start in seen:
            continue
        number = count.get(int(label_id), 0)
        count[int(label_id)] = number + 1
        flood = [start]
        while flood:
            row, column = flood.pop()
            inside = 0 <= row < label_ids.shape[0] and 0 <= column < label_ids.shape[1]
            if not inside or (row, column) in seen or label_ids[row, column] != label_id:
                continue
            seen.add((row, column))
            expected[row, column] = int(label_id) * 1000 + number
            flood += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    np.testing.assert_array_equal(instances_from_labels(label_ids), expected)


def test_edges_come_after_the_labels() -> None:
    """Fault: the edge channel put first, where published weights expect label 0."""
    label_ids = torch.full((1, 2, 2), 7, dtype=torch.uint8)
    semantics = one_hot_semantics(label_ids, torch.ones(1, 2, 2, dtype=torch.bool), 35)
    assert semantics.shape == (1, 36, 2, 2)
    assert semantics[0, :, 0, 0].nonzero().flatten().tolist() == [7, 35]


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_shrinking_takes_the_top_left_pixel(factor: int) -> None:
    """Fault: the centre (nearest-exact) or an average: the published network knows neither."""
    semantics = torch.arange(64.0).reshape(1, 1, 8, 8)
    shrunk = shrink_semantics(semantics, factor)
    assert torch.equal(shrunk, semantics[..., ::factor, ::factor])
    peer = torch.nn.functional.interpolate(semantics, size=shrunk.shape[-2:], mode="nearest")
    assert torch.equal(shrunk, peer)
