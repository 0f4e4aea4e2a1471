"""The list of mistakes, by hand."""

from __future__ import annotations

import numpy as np

from segspade_core.labels import NAMES
from segspade_core.metrics.confusion import confusion_matrix
from segspade_core.metrics.mistakes import ConfusedPair, confused_pairs


def test_pairs_are_ordered_by_share_of_the_true_class() -> None:
    """Catches shares of the predicted class, and the diagonal among the mistakes.

    By hand: of 4 persons 1 became rider (0.25); of 10 roads 2 became sidewalk (0.2) and 1 sky (0.1).
    """
    target = np.array([24] * 4 + [7] * 10, np.uint8)
    predicted = np.array([24] * 3 + [25] + [7] * 7 + [8] * 2 + [23], np.uint8)
    confusion = confusion_matrix(target, predicted, 34)
    pairs = confused_pairs(confusion, NAMES)
    assert pairs == [
        ConfusedPair("person", "rider", 0.25, 1),
        ConfusedPair("road", "sidewalk", 0.2, 2),
        ConfusedPair("road", "sky", 0.1, 1),
    ]
    assert confused_pairs(confusion, NAMES, limit=1) == pairs[:1]
