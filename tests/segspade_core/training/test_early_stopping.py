"""Early stopping, read from the record alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segspade_core.config.optimisation import EarlyStoppingConfig
from segspade_core.errors import InputError
from segspade_core.training.early_stopping import epochs_without_gain, has_stalled

scores = st.lists(st.integers(0, 20).map(lambda n: n / 20), max_size=12)


def rows(*values: float) -> list[dict[str, float]]:
    return [{"epoch": n, "val_miou": value} for n, value in enumerate(values, 1)]


def test_epochs_are_counted_from_the_last_gain() -> None:
    """Fault: an equal score counted as a gain; a score above the one before and below the best."""
    assert epochs_without_gain([]) == 0
    assert epochs_without_gain(rows(0.0)) == 0
    assert epochs_without_gain(rows(0.3, 0.3)) == 1
    assert epochs_without_gain(rows(0.5, 0.1, 0.2)) == 2
    assert epochs_without_gain(rows(0.5, 0.1, 0.6)) == 0
    assert epochs_without_gain(rows(0.5, math.nan, 0.4)) == 2


def test_small_gains_add_up() -> None:
    """Fault: the best raised by gains that do not count, so that a slow rise ends the training."""
    assert epochs_without_gain(rows(0.10, 0.14, 0.18), min_gain=0.05) == 0
    assert epochs_without_gain(rows(0.10, 0.14, 0.12), min_gain=0.05) == 2


@given(scores, st.integers(1, 5))
def test_it_ends_as_soon_as_patience_epochs_are_none_better_than_before(
    values: list[float], patience: int
) -> None:
    """Peer: the last `patience` scores against the best of all before them. Fault: an epoch too soon."""
    before, last = values[:-patience], values[-patience:]
    expected = bool(before) and max(last) <= max(before)
    assert has_stalled(rows(*values), EarlyStoppingConfig(patience=patience)) == expected


def test_without_a_val_split_there_is_nothing_to_watch() -> None:
    with pytest.raises(InputError, match=r"^early stopping watches val_miou, and there is no val split"):
        has_stalled([{"epoch": 1, "loss": 0.5}], EarlyStoppingConfig())
