"""An instance map and its label map agree exactly when every pixel does, said one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segspade_core.datasets.files import BadFile
from segspade_core.datasets.instances import check_instances

INSTANCE = st.one_of(
    st.integers(0, 34), st.sampled_from([254, 255, 256, 999, 1000, 26001, 26999, 33000, 65535])
)


def agrees(instance: int, label: int) -> bool:
    return label == 255 or label == (instance // 1000 if instance >= 1000 else instance)


@given(st.lists(st.tuples(INSTANCE, st.sampled_from([*range(34), 255])), min_size=1, max_size=8))
def test_they_agree_when_every_pixel_does(pixels: list[tuple[int, int]]) -> None:
    """Faults: label 0 agrees with every id below 1000; id 26001 with label 1; void is compared."""
    instances = np.array([[instance for instance, _ in pixels]], np.uint16)
    labels = np.array([[label for _, label in pixels]], np.uint8)
    wrong = [pixel for pixel in pixels if not agrees(*pixel)]
    if not wrong:
        check_instances(instances, labels)
        return
    with pytest.raises(BadFile) as caught:
        check_instances(instances, labels)
    assert f"in {len(wrong)} of {len(pixels)} pixels: the first is instance id {wrong[0][0]}," in str(
        caught.value
    )


IN_TABLE, IN_NONE = (0, 33, 255, 1000, 33999), (34, 254, 256, 999, 34000, 65535)


@pytest.mark.parametrize("instance", [*IN_TABLE, *IN_NONE])
def test_alone_it_holds_ids_of_the_table_and_no_others(instance: int) -> None:
    """Fault: without a label map anything goes, or void and the last id of the table do not."""
    try:
        check_instances(np.array([[instance]], np.uint16), None)
        said = ""
    except BadFile as error:
        said = str(error)
    assert bool(said) == (instance in IN_NONE)
    assert not said or f"instance id {instance} is of label id" in said
