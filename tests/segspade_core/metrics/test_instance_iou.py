"""Instance-weighted IoU by hand and by properties; test_official.py has the peer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segspade_core.errors import InputError
from segspade_core.metrics.confusion import confusion_of_ids
from segspade_core.metrics.instance_iou import (
    AVERAGE_SIZE_PX,
    INSTANCE_CLASSES,
    InstanceRecalls,
    iiou_per_category,
    iiou_per_class,
    instance_recalls,
)

PERSON, CAR = INSTANCE_CLASSES.index("person"), INSTANCE_CLASSES.index("car")
instance_maps = arrays(
    np.uint16, (5, 8), elements=st.sampled_from([7, 24, 24000, 24001, 25003, 26000, 29001])
)
predictions = arrays(np.uint8, (5, 8), elements=st.sampled_from([7, 24, 25, 26, 29, 255]))
quick = settings(max_examples=60, deadline=None)


def fields(recalls: InstanceRecalls) -> list[list[int]]:
    return [recalls.instances.tolist(), recalls.found.tolist(), recalls.found_category.tolist()]


def scores(instance_ids: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    label_ids = np.where(instance_ids >= 1000, instance_ids // 1000, instance_ids).astype(np.uint8)
    confusion = confusion_of_ids(label_ids, predicted)
    recalls = instance_recalls(instance_ids, predicted)
    return iiou_per_class(confusion, recalls), iiou_per_category(confusion, recalls)


def test_by_hand() -> None:
    """Catches plain IoU (3 / 7 here), weights upside down, and a weighted false positive.

    Two persons of 4 and 1 pixels; 2 of the first and 1 of the second found, one of the rest a rider; one road
    pixel is taken for a person. With the mean size s: (s/2 + s) / (2s + 1); as humans (3/4 s + s) / (2s + 1).
    """
    instance_ids = np.array([[24000, 24000, 24000, 24000, 24001, 7, 7]], np.uint16)
    predicted = np.array([[24, 24, 25, 7, 24, 24, 7]], np.uint8)
    per_class, per_category = scores(instance_ids, predicted)
    size = AVERAGE_SIZE_PX["person"]
    assert per_class[PERSON] == pytest.approx(1.5 * size / (2 * size + 1))
    assert per_category[0] == pytest.approx(1.75 * size / (2 * size + 1))
    assert np.isnan(per_class[CAR])
    assert np.isnan(per_category[1])


def test_all_found_is_one_exactly() -> None:
    """Catches shares that are rounded short of 1: a third of an instance's pixels, three times."""
    instance_ids = np.array([[26000, 26000, 26000, 26001, 24000, 7, 26]], np.uint16)
    per_class, per_category = scores(instance_ids, np.array([[26, 26, 26, 26, 24, 7, 26]], np.uint8))
    assert per_class[CAR] == per_class[PERSON] == 1
    assert per_category.tolist() == [1, 1]


def test_caravans_are_no_instances_but_vehicles() -> None:
    """Catches a class left out of the official score that weighs, or that is lost from its category."""
    instance_ids = np.array([[29000, 26000, 26000, 7]], np.uint16)
    recalls = instance_recalls(instance_ids, np.array([[29, 29, 26, 29]], np.uint8))
    assert recalls.instances.sum() == recalls.instances[CAR] == 1
    assert recalls.found[CAR] == 2**39
    assert recalls.found_category[CAR] == 2**40


@quick
@given(instance_maps, predictions, instance_maps, predictions)
def test_recalls_of_images_add_exactly(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> None:
    """Catches sums that depend on the order of shards, and instances of two images taken for one."""
    first, second = instance_recalls(a, b), instance_recalls(c, d)
    assert fields(first + second) == fields(second + first)
    apart = np.where(c >= 1000, c + 500, c)  # the same objects under other numbers
    together = instance_recalls(np.vstack([a, apart]), np.vstack([b, d]))
    assert fields(together) == fields(first + second)


@quick
@given(instance_maps, predictions)
def test_agrees_with_a_loop_over_instances(instance_ids: np.ndarray, predicted: np.ndarray) -> None:
    """Peer: one mask an instance. Catches shares of the prediction in place of the instance."""
    found = np.zeros(len(INSTANCE_CLASSES))
    for id in np.unique(instance_ids[instance_ids >= 1000]).tolist():
        if id // 1000 != 29:
            index = {24: 0, 25: 1, 26: 2}[id // 1000]
            found[index] += np.mean(predicted[instance_ids == id] == id // 1000)
    np.testing.assert_allclose(instance_recalls(instance_ids, predicted).found * 2.0**-40, found, atol=1e-11)


def test_says_what_is_wrong() -> None:
    """Catches an object of an unknown label that is dropped in silence."""
    with pytest.raises(
        InputError, match="instance id 40001 is of label id 40, which is not in label table 'cityscapes'; an"
    ):
        instance_recalls(np.array([[40001]], np.uint16), np.array([[7]], np.uint8))
    with pytest.raises(ValueError, match=r"instance_ids is \(1, 1\), predicted_ids is \(1, 2\): they must"):
        instance_recalls(np.array([[7]], np.uint16), np.array([[7, 7]], np.uint8))


def test_the_same_picture_at_half_the_size_has_the_same_score() -> None:
    """Catches false positives of small maps weighed against instances at full size, and the height twice."""
    instance_ids = np.array([[24000, 24000, 24001, 7], [26000, 7, 7, 7]], np.uint16)
    predicted = np.array([[24, 7, 24, 24], [26, 26, 24, 7]], np.uint8)
    label_ids = np.where(instance_ids >= 1000, instance_ids // 1000, instance_ids).astype(np.uint8)

    def enlarged(factor: int) -> list[list[float]]:
        maps = [ids.repeat(factor, 0).repeat(factor, 1) for ids in (label_ids, predicted, instance_ids)]
        confusion, recalls = confusion_of_ids(maps[0], maps[1]), instance_recalls(maps[2], maps[1])
        size = maps[0].shape[0], maps[0].shape[1]
        scores = iiou_per_class(confusion, recalls, size), iiou_per_category(confusion, recalls, size)
        return [values.tolist() for values in scores]

    for one, two in zip(enlarged(1), enlarged(2), strict=True):
        assert two == pytest.approx(one, nan_ok=True)
    assert enlarged(1)[0][PERSON] < scores(instance_ids, predicted)[0][PERSON]
