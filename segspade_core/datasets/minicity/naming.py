"""Which frame is which: city, sequence, frame and time of day, known without drawing."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from segspade_core.config import MinicityConfig
from segspade_core.datasets.minicity.style import STYLES
from segspade_core.errors import InputError

TimeOfDay = Literal["day", "dusk", "night"]
SPLITS = ("train", "val", "test")
# shuffled within every ten frames, so that even a small city has 60 / 20 / 20 %
_TEN_FRAMES: tuple[TimeOfDay, ...] = ("day",) * 6 + ("dusk",) * 2 + ("night",) * 2


class FrameName(NamedTuple):
    """What the file name of a frame says, and the time of day, which it does not say."""

    id: str  # city_sequence_frame, as in Cityscapes
    city: str
    sequence: int
    frame: int
    time_of_day: TimeOfDay


def generator_for(seed: int, *path: int) -> np.random.Generator:
    """A generator of its own for each seed and path: no frame depends on how many others are drawn."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *path])))


def split_number(split: str) -> int:
    """Position of `split` among train, val, test.

    Raises:
        InputError: there is no such split.
    """
    if split not in SPLITS:
        raise InputError(f"split '{split}': Minicity has {', '.join(SPLITS)}; choose one of these")
    return SPLITS.index(split)


def sample_of(config: MinicityConfig, split: str, index: int) -> FrameName:
    """Name of frame `index` of `split`; the same whatever the sizes and counts in `config`."""
    number = split_number(split)
    city = STYLES[int(generator_for(config.seed, number, index, 1).integers(len(STYLES)))].name
    ten = generator_for(config.seed, number, index // 10, 2).permutation(10)
    # every frame is a sequence of its own; the frame number keeps the splits apart
    frame = 19 + 100 * number
    return FrameName(f"{city}_{index:06}_{frame:06}", city, index, frame, _TEN_FRAMES[ten[index % 10]])
