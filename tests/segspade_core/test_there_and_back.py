"""One picture at a time: the size that is worked at, and that each step takes what the one before made."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segspade_core.config import GeneratorArchitecture
from segspade_core.metrics.cycle import agreement
from segspade_core.there_and_back import PictureModels, of_label_map, of_photograph, working_size

PUBLISHED = GeneratorArchitecture()
sides = st.integers(8, 20_000)


@given(st.tuples(sides, sides), st.integers(3, 7))
def test_any_picture_gets_a_size_that_can_be_painted(size: tuple[int, int], upsamplings: int) -> None:
    """Faults: a size of no rows; one that the strides do not divide; memory for a long thin picture."""
    architecture = GeneratorArchitecture(upsamplings=upsamplings)
    height, width = working_size(size, architecture, 256 * 512)
    step = 2**upsamplings
    assert height % step == width % step == 0
    assert min(height, width) >= step
    assert height * width <= 4 * 256 * 512


# by hand, for strides of 64 and 131072 pixels: 360x480 is 0.871 (the root of 131072 / 172800) of itself,
# 313.5x418; 4000x3000 is 418x313.5; 100x9000 would be 38x3435, and is held to one stride by 131072 / 64
FITTED = {(1024, 2048): (256, 512), (360, 480): (320, 448), (4000, 3000): (448, 320), (100, 9000): (64, 2048)}


@pytest.mark.parametrize("size", FITTED)
def test_its_shape_is_kept_as_nearly_as_strides_allow(size: tuple[int, int]) -> None:
    assert working_size(size, PUBLISHED, 256 * 512) == FITTED[size]


def test_a_generator_of_one_size_paints_that_size() -> None:
    architecture = GeneratorArchitecture(upsamplings=5, style_dim=4, linear_head=(4, 8))
    assert working_size((700, 300), architecture, 100) == (128, 256)


class Stub:
    """Models that leave a trace: the segmenter reads id 7 + the red channel, the painter writes it."""

    def segment(self, photograph: np.ndarray) -> np.ndarray:
        return (photograph[..., 0] // 2 + 7).astype(np.uint8)

    def paint(self, label_ids: np.ndarray, code: Any) -> np.ndarray:
        assert code == "a code"
        return np.stack([label_ids, label_ids, label_ids], axis=-1)


MODELS = cast("PictureModels", Stub())


def test_each_step_takes_what_the_one_before_made() -> None:
    photograph = np.zeros((4, 6, 3), np.uint8)
    photograph[:, 3:] = 8
    result = of_photograph(MODELS, photograph, (2, 6), cast("Any", "a code"))
    first = np.array([[7, 7, 7, 11, 11, 11]] * 2, np.uint8)
    assert result.photograph is not None
    np.testing.assert_array_equal(result.photograph, photograph[:2])
    np.testing.assert_array_equal(result.first, first)
    np.testing.assert_array_equal(result.painting[..., 1], first)
    np.testing.assert_array_equal(result.second, first // 2 + 7)
    assert result.agreement == pytest.approx(agreement(first, first // 2 + 7), nan_ok=True)
    np.testing.assert_array_equal(result.disagreement, first != first // 2 + 7)


def test_a_label_map_is_painted_as_it_is_and_void_is_no_disagreement() -> None:
    label_ids = np.array([[14, 255], [14, 14]], np.uint8).repeat(2, 0).repeat(2, 1)
    result = of_label_map(MODELS, label_ids, (4, 4), cast("Any", "a code"))
    assert result.photograph is None
    np.testing.assert_array_equal(result.first, label_ids)
    # 14 → 14 // 2 + 7 = 14; 255 → 134, but nobody knows what is right there
    assert not result.disagreement.any()
    assert result.agreement["accuracy"] == 1
