"""Everything counted of a comparison: each number against the function that counts it alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segspade_core.labels import NUM_IDS, NUM_TRAIN_IDS, VOID_IDS, ids_to_train_ids
from segspade_core.metrics.calibration import reliability
from segspade_core.metrics.class_boundaries import BoundaryCounts, boundary_counts
from segspade_core.metrics.confusion import confusion_of_ids
from segspade_core.metrics.instance_iou import instance_recalls
from segspade_core.metrics.map_counts import MapCounts, count_maps
from segspade_core.metrics.tally import Tally

TOLERANCE = 0.05


def maps(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(24, 32) true ids with void, predicted ids, instance ids and confidences."""
    rng = np.random.default_rng(seed)
    target = rng.choice([0, 5, 7, 9, 11, 24, 26, 255], (6, 8)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    predicted = np.where(rng.random(target.shape) < 0.7, target, 7)
    predicted[np.isin(predicted, [0, 255])] = 11
    instance_ids = target.astype(np.uint16)
    instance_ids[np.isin(target, [24, 26])] *= 1000
    return target, predicted, instance_ids, rng.integers(0, 256, target.shape, dtype=np.uint8)


def count(seed: int) -> MapCounts:
    target, predicted, instance_ids, confidence = maps(seed)
    return count_maps(target, predicted, TOLERANCE, instance_ids, confidence)


def same_boundaries(one: BoundaryCounts, other: BoundaryCounts) -> None:
    for name, array in vars(one).items():
        np.testing.assert_array_equal(array, getattr(other, name), name)


def test_each_number_is_that_of_its_own_function() -> None:
    """Catches void that counts in the calibration, boundaries of ids taken for those of the 19 classes."""
    target, predicted, instance_ids, confidence = maps(0)
    counts = count(0)
    assert counts.size == (24, 32)
    np.testing.assert_array_equal(counts.confusion, confusion_of_ids(target, predicted))
    same_boundaries(
        counts.boundaries["ids"], boundary_counts(target, predicted, NUM_IDS, TOLERANCE, void=VOID_IDS)
    )
    official = ids_to_train_ids(target), ids_to_train_ids(predicted)
    same_boundaries(counts.boundaries["train_ids"], boundary_counts(*official, NUM_TRAIN_IDS, TOLERANCE))
    assert counts.instances is not None
    wanted = instance_recalls(instance_ids, predicted)
    np.testing.assert_array_equal(counts.instances.found, wanted.found)
    assert counts.reliability is not None
    for view, unknown in (("ids", [*VOID_IDS, 255]), ("train_ids", [0, 5, 9, 255])):
        known = ~np.isin(target, unknown)
        told = reliability(confidence[known] / 255, (predicted == target)[known])
        np.testing.assert_array_equal(counts.reliability[view].count, told.count)  # type: ignore[index]
        np.testing.assert_array_equal(counts.reliability[view].correct, told.correct)  # type: ignore[index]


def test_counts_add_and_come_back_from_json() -> None:
    """Catches a field that is not summed, or is lost or exchanged on its way through a shard's file."""
    total = count(1) + count(2)
    content = json.dumps(total.to_dict())
    back = MapCounts.from_dict(json.loads(content))
    assert json.dumps(back.to_dict()) == content
    assert total.instances is not None
    assert total.reliability is not None
    parts = [count(1).to_dict(), count(2).to_dict()]
    for name, values in total.to_dict()["instances"].items():
        assert values == np.sum([part["instances"][name] for part in parts], axis=0).tolist(), name
    for field in ("boundaries", "reliability"):
        for view, found in total.to_dict()[field].items():
            for name, values in found.items():
                wanted = np.sum([part[field][view][name] for part in parts], axis=0).tolist()
                assert values == wanted, (field, view, name)
    np.testing.assert_array_equal(back.confusion, count(1).confusion + count(2).confusion)


def test_what_is_not_alike_does_not_add() -> None:
    """Catches the score of a part told as that of the whole."""
    target, predicted, instance_ids, confidence = maps(1)
    whole = count(1)
    with pytest.raises(ValueError, match=r"^counts of maps of \(24, 32\) and of \(12, 32\) do not add$"):
        _ = whole + count_maps(target[:12], predicted[:12], TOLERANCE, instance_ids[:12], confidence[:12])
    with pytest.raises(ValueError, match=r"^counts with confidences and counts without do not add$"):
        _ = whole + count_maps(target, predicted, TOLERANCE, instance_ids)
    with pytest.raises(ValueError, match=r"^counts with instances and counts without do not add$"):
        _ = count_maps(target, predicted, TOLERANCE, confidence=confidence) + whole


def test_predictions_of_another_size_are_brought_to_the_labels() -> None:
    """Catches the true map brought to the prediction, or blended on the way: each pixel becomes 2x2."""
    target, predicted, instance_ids, confidence = maps(3)
    small, sure = predicted[1::2, 1::2], confidence[1::2, 1::2]
    tally = Tally()
    tally.add("val", "segmenter", "a", target, small, TOLERANCE, instance_ids=instance_ids, confidence=sure)
    wanted = count_maps(
        target,
        small.repeat(2, 0).repeat(2, 1),
        TOLERANCE,
        instance_ids,
        sure.repeat(2, 0).repeat(2, 1),
    )
    assert tally.counts["val", "segmenter"].to_dict() == wanted.to_dict()


def test_labels_are_brought_to_predictions_where_that_is_asked_for() -> None:
    """Catches a resolution that is recorded and changes nothing."""
    target, predicted, instance_ids, confidence = maps(3)
    small, sure = predicted[1::2, 1::2], confidence[1::2, 1::2]
    tally = Tally()
    tally.add(
        "val",
        "segmenter",
        "a",
        target,
        small,
        TOLERANCE,
        instance_ids=instance_ids,
        confidence=sure,
        resolution="network",
    )
    wanted = count_maps(target[1::2, 1::2], small, TOLERANCE, instance_ids[1::2, 1::2], sure)
    assert tally.counts["val", "segmenter"].to_dict() == wanted.to_dict()
    assert tally.counts["val", "segmenter"].size == (12, 16)
