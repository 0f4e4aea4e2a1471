"""When to end a training that gains nothing more: read from its record, so that nothing else is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segspade_core.config.optimisation import EarlyStoppingConfig
from segspade_core.errors import InputError

_WATCHED = "val_miou"
NOTHING_TO_WATCH = (
    f"early stopping watches {_WATCHED}, and there is no val split to have it from; ingest one, "
    "or leave out segmenter.early_stopping"
)


def has_stalled(epochs: Sequence[Mapping[str, float]], config: EarlyStoppingConfig) -> bool:
    """Whether the last `patience` epochs of a record brought no gain.

    Args:
        epochs: rows as in `History.epochs`, each with val_miou.

    Raises:
        InputError: there is no val_miou to watch.
    """
    return epochs_without_gain(epochs, config.min_gain) >= config.patience


def epochs_without_gain(epochs: Sequence[Mapping[str, float]], min_gain: float = 0.0) -> int:
    """Epochs since val_miou last rose above its best by more than `min_gain`; the first epoch is a gain.

    The best is that of the last gain: many small steps, each below `min_gain`, add up to one. NaN is no gain.

    Raises:
        InputError: as `has_stalled`.
    """
    best, waited = -1.0, 0
    for row in epochs:
        if _WATCHED not in row:
            raise InputError(NOTHING_TO_WATCH)
        if row[_WATCHED] > best + min_gain:
            best, waited = row[_WATCHED], 0
        else:
            waited += 1
    return waited
