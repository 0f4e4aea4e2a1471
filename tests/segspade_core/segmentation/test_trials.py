"""Trials of learning rates, and of whether a network learns at all."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segspade_core.config import AugmentConfig, SegmenterConfig
from segspade_core.config.losses import CrossEntropyConfig
from segspade_core.config.optimisation import AdamConfig, AveragingConfig, SGDConfig
from segspade_core.errors import InputError
from segspade_core.segmentation.trials import _steepest, memorise, try_rates

pytestmark = pytest.mark.usefixtures("tiny_encoder")

# what is to be learned: red is road, blue is sky, in stripes as wide as the network's cells
BLUE = np.arange(128) // 32 % 2 == 1
IMAGES = np.zeros((4, 64, 128, 3), np.uint8)
IMAGES[:, :, BLUE, 2], IMAGES[:, :, ~BLUE, 0] = 255, 255
LABEL_IDS = np.where(BLUE, np.uint8(23), np.uint8(7))[None, None].repeat(4, 0).repeat(64, 1)
CONFIG = SegmenterConfig(
    encoder="resnet18", weights="none", batch=2, epochs=1, optimiser=AdamConfig(lr=3e-2), seed=1
)


def test_what_can_be_seen_is_learned_by_heart() -> None:
    """Fault: the batch changes from step to step, or the loss does not fall where it should."""
    shaken = CONFIG.model_copy(update={"augment": AugmentConfig(scale=(0.25, 4.0), brightness=0.9)})
    result = memorise(shaken, IMAGES, LABEL_IDS, steps=200)
    assert result.learned
    assert result.last_loss < 0.5 * result.first_loss
    assert result.steps < 200, "it goes on where nothing is left to learn"
    assert result.first_loss == pytest.approx(math.log(34), rel=0.5)


def test_a_network_that_does_not_learn_is_told() -> None:
    """Fault: sanity is reported for a rate at which nothing moves, or for labels that cannot be seen."""
    still = CONFIG.model_copy(update={"optimiser": AdamConfig(lr=1e-9)})
    assert not memorise(still, IMAGES, LABEL_IDS, steps=20).learned
    noise = np.random.default_rng(0).integers(4, 34, LABEL_IDS.shape, dtype=np.uint8)
    assert not memorise(CONFIG, IMAGES, noise, steps=30).learned


def test_void_alone_teaches_nothing() -> None:
    """Fault: a batch that is known by heart because there is nothing to know."""
    with pytest.raises(InputError, match="train split: every pixel is void"):
        memorise(CONFIG, IMAGES, np.zeros_like(LABEL_IDS), steps=3)


def test_rates_rise_by_one_factor_and_the_loss_is_lost_in_the_end() -> None:
    """Fault: a schedule of the config in the way; steps at rates nobody asked for; a NaN that ends it all."""
    seen: list[tuple[int, int]] = []
    config = CONFIG.model_copy(update={"optimiser": SGDConfig(), "average": AveragingConfig()})
    tried = try_rates(
        config,
        IMAGES,
        LABEL_IDS,
        steps=60,
        lowest=1e-4,
        highest=1e6,
        told=lambda done, steps, _: seen.append((done, steps)),
    )
    rates = np.asarray(tried.rates)
    assert rates[0] == pytest.approx(1e-4)
    np.testing.assert_allclose(rates[1:] / rates[:-1], (1e10) ** (1 / 59))
    assert 10 < len(rates) < 60, "it goes on long after the loss was lost"
    assert np.isfinite(tried.losses).all()
    assert tried.suggested is not None
    assert tried.suggested < rates[np.argmin(tried.losses)]
    assert seen == [(step, 60) for step in range(1, len(seen) + 1)]
    assert len(seen) == len(rates)


def test_the_first_loss_is_that_of_the_first_step() -> None:
    """Fault: a running mean that starts from zero makes the loss rise at first."""
    config = CONFIG.model_copy(update={"augment": AugmentConfig(flip=0)})
    tried = try_rates(config, IMAGES, LABEL_IDS, steps=10, lowest=1e-9, highest=1e-8)
    memorised = memorise(config, IMAGES, LABEL_IDS, steps=1)
    assert tried.losses[0] == pytest.approx(memorised.first_loss, rel=1e-3)
    assert max(tried.losses) < 1.2 * min(tried.losses)


@pytest.mark.parametrize(
    ("losses", "suggested"),
    [
        ([5.0] * 10 + [4, 3, 2, 1.9, 1.9, 1.9, 8], 1e-5),  # in the middle of the fall: step 10 of 17
        ([1.0, 2, 3, 4, 5, 6, 7, 8], None),
        ([3.0, 3, 3, 3, 3, 3, 3, 3], None),
        ([], None),
    ],
)
def test_the_steepest_fall_is_found(losses: list[float], suggested: float | None) -> None:
    """Fault: the rate of the lowest loss, which is at the edge of losing it."""
    rates = [10.0 ** (at / 2 - 10) for at in range(len(losses))]
    assert _steepest(rates, losses) == (None if suggested is None else pytest.approx(suggested))


@pytest.mark.parametrize(("steps", "lowest", "highest"), [(9, 1e-7, 1), (10, 1, 1), (10, 0, 1)])
def test_no_range_is_refused(steps: int, lowest: float, highest: float) -> None:
    with pytest.raises(InputError, match="take 10 steps or more, and rates that rise"):
        try_rates(CONFIG, IMAGES, LABEL_IDS, steps=steps, lowest=lowest, highest=highest)


def test_losses_that_weigh_classes_are_tried_too() -> None:
    """Fault: the pixels of the classes are counted by the training loop alone."""
    config = CONFIG.model_copy(update={"loss": (CrossEntropyConfig(class_weights="inverse_frequency"),)})
    assert memorise(config, IMAGES, LABEL_IDS, steps=1).steps == 1
