"""Augmentation: image and labels change together, and what is drawn depends on the sample alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from segspade_core.config import AugmentConfig, SegmenterConfig
from segspade_core.errors import InputError
from segspade_core.segmentation.augment import apply_colours, augment, colour_change, resize
from segspade_core.segmentation.batches import LabelledImages

STILL = AugmentConfig(flip=0)
ROWS, COLUMNS = 12, 20
# a picture that says where each pixel came from, and labels that say the same
IMAGE = np.zeros((ROWS, COLUMNS, 3), np.uint8)
IMAGE[..., 0] = np.arange(ROWS)[:, None] * 10
IMAGE[..., 1] = np.arange(COLUMNS) * 10
LABEL_IDS = (np.arange(ROWS)[:, None] * COLUMNS + np.arange(COLUMNS)).astype(np.uint8)  # 0..239


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_nothing_asked_nothing_changed() -> None:
    sample = augment(IMAGE, LABEL_IDS, STILL, random())
    np.testing.assert_array_equal(sample.image, IMAGE)
    np.testing.assert_array_equal(sample.label_ids, LABEL_IDS)
    np.testing.assert_array_equal(sample.colour, np.eye(3, 4))


@given(st.integers(0, 10_000), st.integers(8, 30), st.integers(8, 30), st.sampled_from([0.0, 1.0]))
@settings(max_examples=60, deadline=None)
def test_a_crop_keeps_image_and_labels_together(seed: int, height: int, width: int, flip: float) -> None:
    """Fault: only one of the two flipped or cut, axes swapped, pixels beside the frame taken for a class."""
    sample = augment(IMAGE, LABEL_IDS, AugmentConfig(flip=flip, crop=(height, width)), random(seed))
    assert sample.image.shape == (height, width, 3)
    assert sample.label_ids.shape == (height, width)
    inside = sample.label_ids != 255
    assert inside.sum() == min(height, ROWS) * min(width, COLUMNS)
    ids = sample.label_ids[inside].astype(int)
    np.testing.assert_array_equal(sample.image[inside][:, 0], ids // COLUMNS * 10)
    np.testing.assert_array_equal(sample.image[inside][:, 1], ids % COLUMNS * 10)
    assert (sample.image[~inside] == (124, 116, 104)).all()
    steps = np.diff(sample.label_ids.astype(int), axis=1)[inside[:, 1:] & inside[:, :-1]]
    assert (steps == (-1 if flip else 1)).all()


def test_crops_reach_every_corner_and_flips_come_about_as_often_as_asked() -> None:
    config = AugmentConfig(flip=0.25, crop=(8, 8))
    firsts = {augment(IMAGE, LABEL_IDS, config.model_copy(update={"flip": 0}), random(seed)).label_ids[0, 0]
              for seed in range(600)}  # fmt: skip
    assert firsts == {row * COLUMNS + column for row in range(5) for column in range(13)}
    flipped = [augment(IMAGE, LABEL_IDS, config, random(seed)).label_ids[0] for seed in range(400)]
    share = np.mean([row[0] > row[-1] for row in flipped])
    assert 0.18 < share < 0.32  # 0.25 +- 3 standard deviations


@pytest.mark.parametrize("zoom", [0.5, 0.75, 1.5, 2.0])
def test_zoom_scales_objects_by_its_factor(zoom: float) -> None:
    """Fault: the inverse of the zoom, or another one for the labels."""
    image = np.zeros((64, 96, 3), np.uint8)
    ids = np.full((64, 96), 7, np.uint8)
    image[24:40, 40:56], ids[24:40, 40:56] = 255, 26
    config = AugmentConfig(flip=0, scale=(zoom, zoom), crop=(160, 224))
    sample = augment(image, ids, config, random())
    rows, columns = np.where(sample.label_ids == 26)
    assert np.ptp(rows) + 1 == 16 * zoom
    assert np.ptp(columns) + 1 == 16 * zoom
    assert (sample.image[sample.label_ids == 26].mean()) > 220  # blurred at the rim only
    assert (sample.label_ids != 255).sum() == 64 * 96 * zoom**2


def test_zoom_without_a_crop_keeps_the_frames_size() -> None:
    """Fault: a window that grows with the zoom, where it lies inside the frame."""
    stripes = np.broadcast_to(np.where(np.arange(96) // 4 % 2, 7, 26).astype(np.uint8), (64, 96))
    image = np.repeat(stripes[..., None], 3, 2)
    cut = augment(image, stripes, AugmentConfig(flip=0, scale=(2.0, 2.0)), random())
    assert cut.image.shape == image.shape
    edges = np.flatnonzero(np.diff(cut.label_ids[0].astype(int)))
    assert set(np.diff(edges)) == {8}  # stripes 4 wide, at twice their size


def test_labels_and_image_stay_aligned_when_resized() -> None:
    """Fault: 'nearest' for 'nearest-exact' (half a pixel off), or labels blended into other classes."""
    ids = np.where(np.arange(64) < 32, 7, 26).astype(np.uint8)[None].repeat(64, 0)
    image = np.repeat((ids == 26)[..., None] * np.uint8(255), 3, 2)
    for side in (32, 48, 80, 128):
        small, small_ids = resize(image, ids, side, side)
        assert set(np.unique(small_ids)) == {7, 26}
        np.testing.assert_array_equal(small[..., 0] > 127, small_ids == 26)
    middle = resize(image, np.arange(64, dtype=np.uint8)[None].repeat(64, 0), 32, 32)[1]
    np.testing.assert_array_equal(middle[0], np.arange(1, 64, 2))  # FACTS.md, section 3: [1::2]


@pytest.mark.parametrize(
    ("brightness", "contrast", "saturation"), [(1.3, 1, 1), (1, 0.6, 1), (1, 1, 1.4), (0.8, 1.2, 0.5)]
)
def test_colours_change_as_torchvision_changes_them(
    brightness: float, contrast: float, saturation: float
) -> None:
    """Fault: contrast about black, another grey, factors in another order, red and blue swapped."""
    image = random().integers(70, 160, (6, 8, 3), dtype=np.uint8)  # so that nothing is clamped on the way
    x = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    expected = tv.adjust_brightness(x, brightness)
    expected = tv.adjust_contrast(expected, contrast)
    expected = tv.adjust_saturation(expected, saturation)
    matrix = torch.from_numpy(colour_change(image, brightness, contrast, saturation))
    ours = apply_colours(torch.from_numpy(image)[None], matrix[None])
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours[0], expected, rtol=0, atol=2e-4)  # torchvision's grey weights are rounded


def test_colours_stay_within_their_range() -> None:
    image = np.array([[[0, 128, 255]]], np.uint8)
    matrix = torch.from_numpy(colour_change(image, 1.9, 1.9, 1.9))
    ours = apply_colours(torch.from_numpy(image)[None], matrix[None])
    assert 0 <= ours.min() <= ours.max() <= 1
    drawn = [augment(image, LABEL_IDS[:1, :1], AugmentConfig(brightness=0.5), random(s)) for s in range(50)]
    factors = [sample.colour[0, 0] for sample in drawn]
    assert 0.5 <= min(factors) < 0.6 < 1.4 < max(factors) <= 1.5


def test_a_batch_is_a_function_of_its_position() -> None:
    """Fault: draws that depend on which batches were made before, or alike in every epoch."""
    config = SegmenterConfig(batch=2, num_classes=250, augment=AugmentConfig(crop=(8, 8), brightness=0.5))
    images, label_ids = np.stack([IMAGE] * 5), np.stack([LABEL_IDS] * 5)
    data = LabelledImages("train", images, label_ids, 250)
    first = data.batch(config, 3, 1)
    data.batch(config, 0, 0)
    again = data.batch(config, 3, 1)
    for name in ("images", "targets", "colours"):
        assert torch.equal(getattr(first, name), getattr(again, name)), name
    assert not torch.equal(first.colours, data.batch(config, 4, 1).colours)
    pixels, targets = first.to(torch.device("cpu"))
    assert pixels.shape == (2, 3, 8, 8)
    assert targets.dtype == torch.uint8


def test_void_becomes_255_and_other_strays_are_refused_by_name() -> None:
    """Fault: void learned as a class, or an id beyond the classes found by a CUDA kernel."""
    label_ids = np.array([[[0, 1, 2, 3, 4, 255]]], np.uint8)
    images = np.zeros((1, 1, 6, 3), np.uint8)
    data = LabelledImages("train", images, label_ids, 34)
    assert data.sample(0)[1].tolist() == [[255, 1, 255, 255, 4, 255]]
    assert label_ids[0, 0, 0] == 0, "the caller's array was changed"
    label_ids[0, 0, 4] = 77
    with pytest.raises(
        InputError,
        match=r"^train sample 0: label id 77 \(1 of 6 pixels\) is none of the 34 classes; raise segmenter",
    ):
        data.sample(0)
