"""What the controls of the studio ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segspade_core.errors import InputError
from tasks.studio.asking import DRAWN, MAX_STREET, MEAN, OTHER, OWN, asked_of, missing, size_of, whole
from tasks.studio.scene import Scene

PHOTOGRAPH = np.zeros((16, 16, 3), np.uint8)
SCENE = Scene("x", (16, 16), None, np.zeros((16, 16), np.uint8))


@pytest.mark.parametrize("number", [-1, 1.5, 99999999999, None, float("nan"), float("inf"), "1", [1]])
def test_what_is_no_number_is_refused(number: Any) -> None:
    """Fault: 1.5 is street 2, and nothing is street 0."""
    with pytest.raises(InputError, match="give a whole number from 0 to 2147483648"):
        whole(number, "street number", MAX_STREET)
    assert whole(3.0, "street number", MAX_STREET) == 3


@pytest.mark.parametrize(
    ("style", "number", "lacks"),
    [(OTHER, 1, "open a photograph"), (OWN, 1, "came without"), (DRAWN, None, "give the number")],
)
def test_a_style_that_lacks_something_is_the_mean_until_then(style: str, number: Any, lacks: str) -> None:
    """Fault: nothing can be painted, or the status says nothing of it."""
    assert lacks in missing(SCENE, style, number, None)
    assert asked_of(SCENE, "any", "day", style, number, None)[0].style == "mean"


def test_a_style_that_is_there_is_asked_for() -> None:
    assert missing(SCENE, OTHER, 1, PHOTOGRAPH) == ""
    config, image = asked_of(SCENE, "any", "day", OTHER, 1, PHOTOGRAPH)
    assert (config.style, config.city, config.time_of_day) == ("image:other", None, "day")
    assert image is PHOTOGRAPH
    assert asked_of(SCENE, "any", "any", DRAWN, 7, None)[0].style == "sample:7"
    assert asked_of(SCENE, "any", "any", MEAN, -1, None)[0].style == "mean"


def test_a_size_is_two_numbers_or_as_trained() -> None:
    assert size_of("as trained") is None
    assert size_of("128x256") == (128, 256)
    with pytest.raises(InputError, match="'huge' is no size"):
        size_of("huge")
