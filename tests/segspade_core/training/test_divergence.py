"""What stops a training says what to change, and nothing that is so already."""

from __future__ import annotations

import pytest

from segspade_core.errors import TrainingDiverged
from segspade_core.training.divergence import Place, check_losses, remedy_of


@pytest.mark.parametrize(
    ("precision", "remedy"), [("fp32", "lower lr"), ("bf16", "lower lr, or train with precision fp32")]
)
def test_fp32_is_advised_only_where_it_is_not_used(precision: str, remedy: str) -> None:
    place = Place(epoch=0, step=2, steps=5, good=0)
    with pytest.raises(TrainingDiverged) as told:
        check_losses({"loss": float("nan")}, place, remedy_of("lr", precision))
    assert str(told.value) == (
        f"step 3 of epoch 1: loss term 'loss' is nan; no checkpoint was saved yet; {remedy}"
    )
