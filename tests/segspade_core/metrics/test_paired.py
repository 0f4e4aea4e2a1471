"""The paired bootstrap against a slow definition, and what must hold of any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segspade_core.metrics.confusion import confusion_matrix, mean_iou, pixel_accuracy
from segspade_core.metrics.paired import (
    accuracy_of_counts,
    class_counts,
    miou_of_counts,
    paired_bootstrap,
)


def confusions(count: int, skill: float, seed: int, classes: int = 5) -> np.ndarray:
    """(N, C, C) of a model that is right on so many pixels, on the same true maps for every skill."""
    truth = np.random.default_rng(0).integers(classes - 1, size=(count, 12, 12))  # the last never occurs
    random = np.random.default_rng(seed)
    guess = np.where(
        random.random(truth.shape) < skill, truth, random.integers(classes - 1, size=truth.shape)
    )
    return np.stack([confusion_matrix(t, g, classes) for t, g in zip(truth, guess, strict=True)])


def counts(matrices: np.ndarray) -> np.ndarray:
    return np.stack([class_counts(matrix) for matrix in matrices])


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_scores_of_counts_are_those_of_confusions(seed: int, skill: float) -> None:
    """Fault: a class that is nowhere counts as 0, rows taken for columns, hits counted twice in the union."""
    matrix = confusions(2, skill, seed).sum(axis=0)
    assert miou_of_counts(class_counts(matrix)) == pytest.approx(mean_iou(matrix), abs=1e-12)
    assert accuracy_of_counts(class_counts(matrix)) == pytest.approx(pixel_accuracy(matrix), abs=1e-12)


def test_counts_of_a_matrix_worked_by_hand() -> None:
    """Rows are true: of the first class 3 of 5 are found, and 4 were said. One pixel was called nothing."""
    matrix = np.array([[3, 1, 1], [1, 7, 0]])
    assert class_counts(matrix).tolist() == [[3, 5, 4], [7, 8, 8]]


def test_no_class_at_all_is_no_score() -> None:
    assert np.isnan(miou_of_counts(np.zeros((3, 3), np.int64)))
    assert np.isnan(accuracy_of_counts(np.zeros((3, 3), np.int64)))


@pytest.mark.parametrize("score", [miou_of_counts, accuracy_of_counts])
def test_it_agrees_with_drawing_samples_one_by_one(score: object) -> None:
    """Fault: the two models drawn apart (much wider), scores averaged in place of counts, wrong tails."""
    champion, challenger = confusions(30, 0.6, 1), confusions(30, 0.7, 2)
    found = paired_bootstrap(counts(champion), counts(challenger), score, resamples=4000)  # type: ignore[arg-type]
    slow = mean_iou if score is miou_of_counts else pixel_accuracy
    random, differences = np.random.default_rng(5), []
    for _ in range(4000):
        drawn = random.integers(30, size=30)
        differences.append(slow(challenger[drawn].sum(axis=0)) - slow(champion[drawn].sum(axis=0)))
    low, high = np.quantile(differences, [0.025, 0.975])
    assert found.difference == pytest.approx(slow(challenger.sum(axis=0)) - slow(champion.sum(axis=0)))
    spread = high - low
    assert abs(found.low - low) < 0.04 * spread  # a 90 % interval is off by 0.08
    assert abs(found.high - high) < 0.04 * spread
    assert found.low < found.difference < found.high


def test_a_model_is_exactly_as_good_as_itself() -> None:
    same = counts(confusions(10, 0.6, 1))
    found = paired_bootstrap(same, same)
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.champion == found.challenger > 0.3


def test_turned_around_the_interval_is_turned_around() -> None:
    """Fault: the difference of the wrong sign."""
    worse, better = counts(confusions(25, 0.5, 1)), counts(confusions(25, 0.9, 2))
    ahead, behind = paired_bootstrap(worse, better), paired_bootstrap(better, worse)
    assert 0 < ahead.low < ahead.high
    assert (behind.low, behind.high) == (pytest.approx(-ahead.high), pytest.approx(-ahead.low))


def test_more_confidence_is_a_wider_interval_and_a_seed_decides() -> None:
    pair = counts(confusions(20, 0.5, 1)), counts(confusions(20, 0.6, 2))
    wide, narrow = paired_bootstrap(*pair, confidence=0.99), paired_bootstrap(*pair, confidence=0.8)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert paired_bootstrap(*pair, seed=3) == paired_bootstrap(*pair, seed=3)
    assert paired_bootstrap(*pair, seed=3) != paired_bootstrap(*pair, seed=4)


def test_many_samples_are_drawn_in_parts_of_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: each part drawn from the seed anew, so that all are alike."""
    pair = counts(confusions(20, 0.5, 1)), counts(confusions(20, 0.6, 2))
    whole = paired_bootstrap(*pair, resamples=50)
    monkeypatch.setattr("segspade_core.metrics.paired._DRAWS_AT_ONCE", 60)
    assert paired_bootstrap(*pair, resamples=50) == whole


def test_what_cannot_be_compared_is_refused() -> None:
    pair = counts(confusions(4, 0.5, 1)), counts(confusions(4, 0.6, 2))
    with pytest.raises(ValueError, match=r"^counts of different samples: \(4, 5, 3\) and \(3, 5, 3\)$"):
        paired_bootstrap(pair[0], pair[1][:3])
    with pytest.raises(ValueError, match=r"^the two models were not scored on the same true maps$"):
        paired_bootstrap(pair[0], pair[1][::-1])
    with pytest.raises(ValueError, match=r"^no samples to compare the models on$"):
        paired_bootstrap(pair[0][:0], pair[1][:0])
