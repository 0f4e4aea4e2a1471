"""The channels SPADE is conditioned on, against definitions by loops."""

from __future__ import annotations

from typing import Any

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


INTEGERS = [
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64,
]  # fmt: skip


@pytest.mark.parametrize("dtype", INTEGERS)
def test_ids_of_every_integer_dtype_are_told_apart(dtype: torch.dtype) -> None:
    """Fault: in int8 255 is -1, so that -1 counts as void; or a dtype that torch compares in its own way."""
    most = min(255, torch.iinfo(dtype).max)
    sound = torch.tensor([[[0, 1, 34, most if most == 255 else 0]]]).to(dtype)
    semantics = one_hot_semantics(sound, None, 35)
    assert semantics.argmax(1).flatten().tolist() == [0, 1, 34, 0]
    wrong = [35, 127] + ([-1, -128] if dtype.is_signed else []) + ([256] if most == 255 else [])
    if dtype == torch.uint8:
        wrong.remove(256)
    for label_id in wrong:
        with pytest.raises(
            InputError, match=rf"^the label maps hold the ids {label_id}; this generator knows"
        ):
            one_hot_semantics(torch.tensor([[[0, label_id]]]).to(dtype), None, 35)


IDS = torch.zeros(2, 4, 6, dtype=torch.uint8)
EDGES = torch.zeros(2, 4, 6, dtype=torch.bool)
ARE_INTEGERS = "label ids are integers, in a tensor of shape (B, H, W), B being 1 for a single map"
ARE_BOOL = (
    "they are bool, in a tensor of shape (B, H, W), as the function instance_edges makes them of instance"
)
WRONG_IDS = [
    (IDS[0], f"label_ids are a tensor of shape (4, 6) and torch.uint8; {ARE_INTEGERS}"),
    (IDS[0, 0], f"label_ids are a tensor of shape (6,) and torch.uint8; {ARE_INTEGERS}"),
    (IDS[None], f"label_ids are a tensor of shape (1, 2, 4, 6) and torch.uint8; {ARE_INTEGERS}"),
    (IDS.float(), f"label_ids are a tensor of shape (2, 4, 6) and torch.float32; {ARE_INTEGERS}"),
    (IDS.bool(), f"label_ids are a tensor of shape (2, 4, 6) and torch.bool; {ARE_INTEGERS}"),
    (IDS.numpy(), f"label_ids are a numpy array of shape (2, 4, 6) and uint8; {ARE_INTEGERS}"),
    ([[[7]]], f"label_ids are of type list; {ARE_INTEGERS}"),
]
WRONG_EDGES = [
    (EDGES[0], "instance_edges have shape (4, 6), label_ids (2, 4, 6)"),
    (EDGES[..., :3], "instance_edges have shape (2, 4, 3), label_ids (2, 4, 6)"),
    (EDGES.float() + 7, f"instance_edges are a tensor of shape (2, 4, 6) and torch.float32; {ARE_BOOL}"),
    (EDGES.numpy(), f"instance_edges are a numpy array of shape (2, 4, 6) and bool; {ARE_BOOL}"),
]


@pytest.mark.parametrize(("label_ids", "message"), WRONG_IDS)
def test_label_ids_of_another_shape_or_type_say_what_is_taken(label_ids: Any, message: str) -> None:
    """Fault: a raw error of indexing, or half a label painted as a whole one."""
    with pytest.raises(InputError) as caught:
        one_hot_semantics(label_ids, None, 35)
    assert str(caught.value) == message


@pytest.mark.parametrize(("edges", "message"), WRONG_EDGES)
def test_edges_of_another_shape_or_type_say_what_is_taken(edges: Any, message: str) -> None:
    """Fault: one map's edges spread over a batch, or a channel of 7.0."""
    with pytest.raises(InputError) as caught:
        one_hot_semantics(IDS, edges, 35)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("num_labels", [0, -1])
def test_no_labels_at_all_are_refused(num_labels: int) -> None:
    with pytest.raises(InputError) as caught:
        one_hot_semantics(IDS, None, num_labels)
    assert str(caught.value) == f"num_labels is {num_labels}; a generator knows 1 label or more"


@pytest.mark.parametrize("instance_ids", [IDS[0], IDS[None], IDS.float(), IDS.numpy()])
def test_instance_ids_of_another_shape_or_type_say_what_is_taken(instance_ids: Any) -> None:
    """Fault: edges along a batch, or an error of indexing."""
    with pytest.raises(
        InputError,
        match=r"^instance_ids are a .* of shape \(.*\) and .*; instance ids are integers, in a ten",
    ):
        instance_edges(instance_ids)


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
