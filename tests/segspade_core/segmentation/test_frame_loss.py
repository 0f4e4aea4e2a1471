"""The loss of one photograph, against PyTorch's own cross-entropy of the same pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segspade_core.config import LookConfig, WindowsConfig
from segspade_core.labels import IGNORE_ID, VOID_IDS, ids_to_train_ids
from segspade_core.segmentation import predict
from segspade_core.segmentation.frame_loss import STEP, FrameLoss

HEIGHT, WIDTH = 33, 47  # odd, so that the last row and column count


@pytest.fixture
def true_map() -> Any:
    """Any ids, void among them."""
    random = np.random.default_rng(0)
    return random.choice([0, 3, 7, 8, 11, 24, 26], (HEIGHT, WIDTH)).astype(np.uint8)


def scores_of(classes: int) -> torch.Tensor:
    torch.manual_seed(0)
    return 3 * torch.randn(1, classes, HEIGHT, WIDTH)


def wanted(logits: torch.Tensor, targets: Any, barred: tuple[int, ...]) -> float:
    """By the library, of every counted row and column, without the classes that are barred."""
    kept = [each for each in range(logits.shape[1]) if each not in barred]
    number = np.full(256, IGNORE_ID, np.uint8)
    number[kept] = np.arange(len(kept))
    picked = torch.from_numpy(number[targets][::STEP, ::STEP]).long()[None]
    return float(F.cross_entropy(logits[:, kept, ::STEP, ::STEP].double(), picked, ignore_index=IGNORE_ID))


def test_it_is_the_cross_entropy_among_what_can_be_chosen(true_map: Any) -> None:
    """Faults: void counts, the untaught class makes it infinite, or takes part in the softmax."""
    logits, barred = scores_of(34), (*VOID_IDS, 11)
    loss = FrameLoss(true_map, "ids", untaught=(11,))
    loss.add(slice(None), logits, are_logits=True)
    assert loss.mean == pytest.approx(wanted(logits, true_map, barred), rel=1e-5)


def test_of_train_ids_it_is_the_same(true_map: Any) -> None:
    """Fault: label ids are taken for classes."""
    logits = scores_of(19)
    loss = FrameLoss(true_map, "train_ids")
    loss.add(slice(None), logits, are_logits=True)
    assert loss.mean == pytest.approx(wanted(logits, ids_to_train_ids(true_map), ()), rel=1e-5)


def test_strips_of_probs_make_up_the_photograph(true_map: Any) -> None:
    """Faults: a strip that begins at an odd row counts other rows; probs are taken for logits."""
    logits = scores_of(34)
    probs = logits.softmax(1)
    loss = FrameLoss(true_map, "ids")
    for start, stop in ((0, 11), (11, 12), (12, 30), (30, HEIGHT)):
        loss.add(slice(start, stop), probs[:, :, start:stop], are_logits=False)
    assert loss.mean == pytest.approx(wanted(logits, true_map, VOID_IDS), rel=1e-4)


def test_a_class_of_probability_zero_counts_much_and_not_infinitely() -> None:
    loss = FrameLoss(np.full((2, 2), 7, np.uint8), "ids")
    probs = torch.zeros(1, 34, 2, 2)
    probs[:, 8] = 1
    loss.add(slice(None), probs, are_logits=False)
    assert 50 < loss.mean < 100


def test_of_void_alone_nothing_is_known() -> None:
    """Fault: a photograph that is all void is the best of all."""
    loss = FrameLoss(np.zeros((4, 4), np.uint8), "ids")
    loss.add(slice(None), torch.randn(1, 34, 4, 4), are_logits=True)
    assert np.isnan(loss.mean)


@pytest.mark.parametrize(
    "look",
    [
        LookConfig(),
        LookConfig(flip=True),
        LookConfig(windows=WindowsConfig(size="64x64", overlap=0.25)),
    ],
    ids=["one look", "mirrored", "windows"],
)
def test_predicting_with_it_changes_no_map_and_fills_one_loss_a_photograph(look: LookConfig) -> None:
    """Faults: the loss disturbs the maps or the confidence; losses of one photograph land on another."""
    torch.manual_seed(0)
    model: Any = nn.Conv2d(3, 34, 1)
    model.label_space, model.untaught = "ids", ()
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (2, 64, 96, 3)).astype(np.uint8)
    plain, sure, sure_too = (np.empty((2, 64, 96), np.uint8) for _ in range(3))
    losses = np.full(2, np.nan)
    plain = predict(model, images, look=look, confidence=sure)
    # one that is right everywhere, and one that is not
    true_maps = np.stack([plain[0], np.roll(plain[1], 40, axis=1)])
    found = predict(model, images, look=look, confidence=sure_too, true_maps=true_maps, losses=losses)
    np.testing.assert_array_equal(found, plain)
    np.testing.assert_array_equal(sure_too, sure)
    # a pixel that is right loses -log of its confidence
    assert losses[0] == pytest.approx(-np.log(sure[0, ::STEP, ::STEP] / 255.0).mean(), rel=0.05)
    assert losses[1] > losses[0] + 0.01
