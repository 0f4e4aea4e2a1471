"""Settings of losses, and the sums that are built from them."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from segspade_core.config.losses import (
    PLAIN_CROSS_ENTROPY,
    LossConfig,
    Losses,
    is_plain_cross_entropy,
)
from segspade_core.segmentation.class_weights import class_weights
from segspade_core.segmentation.losses import (
    build_loss,
    dice_loss,
    focal_loss,
    lovasz_softmax_loss,
    ohem_cross_entropy,
    weighted_cross_entropy,
)

RANDOM = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 3, 4, 5, generator=RANDOM)
TARGETS = torch.randint(0, 3, (2, 4, 5), generator=RANDOM, dtype=torch.uint8)
COUNTS = torch.tensor([1000, 10, 0])


def read(*losses: object) -> tuple[LossConfig, ...]:
    parsed: tuple[LossConfig, ...] = TypeAdapter(Losses).validate_python(list(losses))
    return parsed


def test_a_sum_tells_its_total_and_its_parts() -> None:
    """Fault: a weight dropped, or in the part as well, so that parts of two runs cannot be compared."""
    losses = read(
        {"kind": "cross_entropy", "weight": 2.0, "label_smoothing": 0.1}, {"kind": "dice", "weight": 0.5}
    )
    parts = build_loss(losses)(LOGITS, TARGETS)
    assert list(parts) == ["loss", "cross_entropy", "dice"]
    torch.testing.assert_close(parts["cross_entropy"], weighted_cross_entropy(LOGITS, TARGETS, None, 0.1))
    torch.testing.assert_close(parts["dice"], dice_loss(LOGITS, TARGETS))
    torch.testing.assert_close(parts["loss"], 2 * parts["cross_entropy"] + 0.5 * parts["dice"])


def test_a_single_loss_is_told_once_with_its_weight() -> None:
    parts = build_loss(read({"kind": "dice", "weight": 3.0}))(LOGITS, TARGETS)
    assert list(parts) == ["loss"]
    torch.testing.assert_close(parts["loss"], 3 * dice_loss(LOGITS, TARGETS))


def test_every_setting_reaches_its_loss() -> None:
    """Fault: a field of the config that nothing reads."""
    weights = class_weights("inverse_frequency", COUNTS)
    balanced = {"class_weights": "inverse_frequency"}
    cases = (
        ({"kind": "cross_entropy", **balanced}, weighted_cross_entropy(LOGITS, TARGETS, weights)),
        ({"kind": "focal", "gamma": 3.0, **balanced}, focal_loss(LOGITS, TARGETS, 3.0, weights)),
        (
            {"kind": "ohem", "threshold": 0.1, "min_share": 0.7, **balanced},
            ohem_cross_entropy(LOGITS, TARGETS, 0.1, 0.7, weights),
        ),
        ({"kind": "ohem", "threshold": 0.4}, ohem_cross_entropy(LOGITS, TARGETS, 0.4)),
        ({"kind": "lovasz", "per_image": True}, lovasz_softmax_loss(LOGITS, TARGETS, per_image=True)),
        (
            {"kind": "cross_entropy", "class_weights": "effective_number", "beta": 0.9},
            weighted_cross_entropy(LOGITS, TARGETS, class_weights("effective_number", COUNTS, 0.9)),
        ),
    )
    for config, expected in cases:
        torch.testing.assert_close(build_loss(read(config), COUNTS)(LOGITS, TARGETS)["loss"], expected)


def test_only_plain_cross_entropy_takes_the_fast_way() -> None:
    """Fault: training with another loss than the one that was asked for."""
    assert is_plain_cross_entropy(PLAIN_CROSS_ENTROPY)
    assert is_plain_cross_entropy(read({"kind": "cross_entropy"}))
    for more in ({"weight": 2.0}, {"label_smoothing": 0.1}, {"class_weights": "inverse_frequency"}):
        assert not is_plain_cross_entropy(read({"kind": "cross_entropy", **more}))
    assert not is_plain_cross_entropy(read({"kind": "focal"}))
    assert not is_plain_cross_entropy(read({"kind": "cross_entropy"}, {"kind": "dice"}))


def test_pixels_have_to_be_counted_where_classes_are_weighed() -> None:
    balanced = read({"kind": "dice"}, {"kind": "focal", "class_weights": "effective_number"})
    with pytest.raises(ValueError, match=r"^loss focal weighs classes by their pixels: class_counts are"):
        build_loss(balanced)


def test_the_settings_refuse_what_means_nothing() -> None:
    for wrong, message in (
        ([], "at least 1 item"),
        ([{"kind": "dice"}, {"kind": "dice"}], "loss dice is named twice: give it once"),
        ([{"kind": "dice", "class_weights": "inverse_frequency"}], "Extra inputs are not permitted"),
        ([{"kind": "hinge"}], "does not match any of the expected tags"),
        ([{"kind": "dice", "weight": 0}], "greater than 0"),
    ):
        with pytest.raises(ValidationError, match=message):
            read(*wrong)
