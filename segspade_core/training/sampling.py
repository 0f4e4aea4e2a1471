"""Which samples make which batch: a function of seed, epoch and step, so that a position is two numbers."""

from __future__ import annotations

import math

import numpy as np


def steps_per_epoch(samples: int, batch: int) -> int:
    """Batches in an epoch; the last may be smaller than the others."""
    return math.ceil(samples / batch)


def epoch_order(samples: int, seed: int, epoch: int) -> np.ndarray:
    """(samples,) int64: a permutation that depends on seed and epoch alone."""
    return np.random.default_rng([seed, epoch, 0x5EED]).permutation(samples)


def batch_indices(
    samples: int, batch: int, seed: int, epoch: int, step: int, multiple_of: int = 1, at_least: int = 1
) -> np.ndarray:
    """Indices of batch `step` (from 0) of `epoch` (from 0): (<= batch,) int64.

    A last batch of a single sample borrows one from the start of the order, because batch statistics of one
    sample at the smallest feature maps are no statistics at all; and one that processes share borrows until
    each gets as many, `multiple_of` being how many processes there are, or until each gets one, `at_least`
    being how many there are.
    """
    order = epoch_order(samples, seed, epoch)
    indices = order[step * batch : (step + 1) * batch]
    missing = -len(indices) % multiple_of
    if len(indices) == 1 and not missing and samples > 1 and batch > 1:
        missing = multiple_of
    missing = max(missing, at_least - len(indices))
    return np.concatenate([indices, np.resize(order, missing)])


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator that draws the augmentation of one sample in one epoch: alike after a resume."""
    return np.random.default_rng([seed, epoch, index, 0xA46])


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """A number for what is drawn on the device for one sample in one epoch, such as its style."""
    return int(np.random.SeedSequence([seed, epoch, index, 0x57E]).generate_state(1)[0])


def process_seed(seed: int, taken: int, rank: int) -> int:
    """A number for what one of several processes draws in the step after `taken`, such as its dropout."""
    return int(np.random.SeedSequence([seed, taken, rank, 0xD20]).generate_state(1)[0])
