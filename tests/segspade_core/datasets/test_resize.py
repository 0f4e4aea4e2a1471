"""Photographs shrink by the mean of an area, maps by the pixel under the centre."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segspade_core.datasets.resize import RESIZE_RULE, resize_area, resize_nearest

sides = st.integers(1, 12)


@given(sides, sides, st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_whole_factors_give_the_mean_of_each_block(height, width, down, across, seed):
    """Peer: numpy's mean, halves up. Fails with BOX, LANCZOS or swapped factors."""
    image = np.random.default_rng(seed).integers(0, 256, (height * down, width * across, 3), dtype=np.uint8)
    blocks = image.reshape(height, down, width, across, 3).astype(int).sum((1, 3))
    expected = (2 * blocks + down * across) // (2 * down * across)
    np.testing.assert_array_equal(resize_area(image, (height, width)), expected)


def area_weights(old: int, new: int) -> np.ndarray:
    """(new, old): how much of each old pixel lies in each new one, rows summing to 1."""
    step = Fraction(old, new)
    overlap = [
        [
            max(Fraction(0), min((i + 1) * step, Fraction(j + 1)) - max(i * step, Fraction(j)))
            for j in range(old)
        ]
        for i in range(new)
    ]
    return np.array(overlap, float) / float(step)


@pytest.mark.parametrize(("old", "new"), [((36, 48), (25, 38)), ((7, 9), (5, 4)), ((12, 30), (6, 20))])
def test_other_factors_come_within_one_of_the_mean_of_the_area(old, new):
    """PIL takes whole pixels by their centre and rounds rows and columns in turn; on a smooth image this
    stays near the exact mean. A flipped or shifted resize of the ramp does not."""
    rows, columns = np.mgrid[: old[0], : old[1]]
    ramp = (rows / old[0] * 120 + columns / old[1] * 120).round().astype(np.uint8)
    image = np.stack([ramp, 255 - ramp, ramp // 2], -1)
    down, across = area_weights(old[0], new[0]), area_weights(old[1], new[1])
    exact = np.einsum("ij,jkc,lk->ilc", down, image.astype(float), across, optimize=True)
    worst = np.abs(resize_area(image, new) - exact).max()
    # half a pixel of the ramp, and rounding
    assert worst <= 1 + 120 / (2 * min(new))


@given(sides, sides, sides, sides)
def test_nearest_takes_the_pixel_under_the_centre(height, width, new_height, new_width):
    """Peer: exact fractions. Fails with the top left pixel of each block, as cv2 takes."""
    ids = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    expected = [
        [
            ids[
                int((Fraction(2 * y + 1, 2)) * height / new_height),
                int((Fraction(2 * x + 1, 2)) * width / new_width),
            ]
            for x in range(new_width)
        ]
        for y in range(new_height)
    ]
    result = resize_nearest(ids, (new_height, new_width))
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.uint16


@pytest.mark.parametrize("size", [(512, 1024), (256, 512), (360, 480), (300, 700), (2048, 2048)])
def test_nearest_is_what_pil_and_torch_take(size):
    """Peers at real sizes: the published SPADE was trained on maps that PIL's NEAREST made."""
    ids = np.random.default_rng(0).integers(0, 34, (1024, 2048), dtype=np.uint8)
    result = resize_nearest(ids, size)
    pil = np.asarray(Image.fromarray(ids).resize(size[::-1], Image.Resampling.NEAREST))
    # where the centre lies on a line between two pixels and the factor is not whole, PIL's floats decide
    tie_y, tie_x = ((2 * np.arange(n) + 1) * o % (2 * n) == 0 for o, n in zip(ids.shape, size, strict=True))
    whole = ids.shape[0] % size[0] == 0 and ids.shape[1] % size[1] == 0
    assert not ((result != pil) & (whole | ~(tie_y[:, None] | tie_x))).any()
    exact = torch.nn.functional.interpolate(
        torch.from_numpy(ids)[None, None], size=size, mode="nearest-exact"
    )
    np.testing.assert_array_equal(result, exact[0, 0])


def test_half_the_size_takes_the_lower_right_of_four():
    ids = np.arange(24, dtype=np.uint8).reshape(4, 6)
    np.testing.assert_array_equal(resize_nearest(ids, (2, 3)), ids[1::2, 1::2])


def test_enlarging_repeats_pixels_and_keeps_ids():
    ids = np.array([[7, 26]], np.uint8)
    assert resize_nearest(ids, (2, 4)).tolist() == [[7, 7, 26, 26]] * 2
    image = np.repeat(ids[..., None], 3, -1)
    assert resize_area(image, (2, 4))[..., 0].tolist() == [[7, 7, 26, 26]] * 2


def test_the_rule_is_json_and_names_every_array():
    """It is written into manifests and enters keys."""
    assert json.loads(json.dumps(RESIZE_RULE)) == RESIZE_RULE
    assert set(RESIZE_RULE) == {"image", "label_ids", "instance_ids"}
