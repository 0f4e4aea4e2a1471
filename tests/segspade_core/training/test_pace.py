"""Saving at the ends of epochs takes a twentieth of the time, whatever an epoch and a save take."""

from __future__ import annotations

import pytest

from segspade_core.training.pace import SavingPace


@pytest.mark.parametrize(("epoch", "save"), [(1.0, 2.0), (0.01, 1.0), (30.0, 1.0), (19.0, 1.0), (1.0, 0.0)])
def test_saving_takes_its_share_and_no_more(epoch: float, save: float) -> None:
    """Fault: two seconds of saving after each of training; or no save at all for hours."""
    now, saved, lost = 100.0, 0, 0.0
    pace = SavingPace(lambda: now)
    since = 0.0
    for _ in range(3000):
        now += epoch
        since += epoch
        lost = max(lost, since)
        if pace.is_due():
            with pace.saving():
                now += save
            saved, since = saved + 1, 0.0
    assert (saved - 1) * save <= 0.051 * (now - 100.0)
    assert lost <= max(epoch, 19 * save + epoch)
    if epoch >= 19 * save:
        assert saved == 3000, "long epochs are all saved"
