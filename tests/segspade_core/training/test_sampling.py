"""Batches are a function of seed, epoch and step."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segspade_core.training.sampling import batch_indices, process_seed, sample_rng, steps_per_epoch


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_shows_every_sample(samples: int, batch: int, seed: int, epoch: int) -> None:
    """Fault: the last, smaller batch is dropped, or an epoch repeats samples."""
    steps = steps_per_epoch(samples, batch)
    shown = [index for step in range(steps) for index in batch_indices(samples, batch, seed, epoch, step)]
    assert set(shown) == set(range(samples))
    assert len(shown) <= samples + 1  # one may be borrowed for a last batch of one


def test_no_batch_of_one_among_larger_ones() -> None:
    assert [len(batch_indices(9, 4, 0, 0, step)) for step in range(3)] == [4, 4, 2]


@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 4))
def test_processes_get_as_many_samples_each(samples: int, share: int, processes: int) -> None:
    """Fault: a last batch that cannot be shared alike; one sample at a time in a batch of several."""
    batch = share * processes
    for step in range(steps_per_epoch(samples, batch)):
        alone = batch_indices(samples, batch, 0, 0, step)
        shared = batch_indices(samples, batch, 0, 0, step, processes)
        assert len(shared) % processes == 0
        assert 0 <= len(shared) - len(alone) < processes
        np.testing.assert_array_equal(shared[: len(alone)], alone)
        if samples > 1 and batch > 1:
            assert len(shared) > 1


@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 4))
def test_a_batch_is_left_as_it_is_where_each_process_gets_a_sample(
    samples: int, share: int, processes: int
) -> None:
    """Fault: a sample more than one process would have taken; a process without any."""
    batch = share * processes
    for step in range(steps_per_epoch(samples, batch)):
        alone = batch_indices(samples, batch, 0, 0, step)
        shared = batch_indices(samples, batch, 0, 0, step, at_least=processes)
        assert len(shared) == max(len(alone), processes)
        np.testing.assert_array_equal(shared[: len(alone)], alone)


def test_no_process_draws_what_another_does_or_did() -> None:
    seeds = [process_seed(seed, taken, rank) for seed in (0, 1) for taken in (0, 1) for rank in (0, 1)]
    assert len(set(seeds)) == 8
    assert seeds[0] == process_seed(0, 0, 0)


def test_epochs_and_seeds_differ() -> None:
    """Fault: the epoch does not enter the seed, and every epoch shows the same order."""
    orders = [batch_indices(50, 50, seed, epoch, 0).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_augmentation_depends_on_the_sample_not_on_what_came_before() -> None:
    first = sample_rng(0, 1, 7).random(3)
    sample_rng(0, 1, 6).random(100)
    np.testing.assert_array_equal(sample_rng(0, 1, 7).random(3), first)
    assert not np.array_equal(sample_rng(0, 2, 7).random(3), first)
