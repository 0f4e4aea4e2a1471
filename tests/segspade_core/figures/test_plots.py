"""Plots as SVG: well-formed, in the page's own colours, true to their numbers."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segspade_core.figures.confusion import confusion_heat_map
from segspade_core.figures.curves import loss_curves, running_mean
from segspade_core.figures.iou import iou_bars
from segspade_core.figures.reliability import reliability_plot
from segspade_core.figures.svg import ticks
from segspade_core.labels import NAMES
from segspade_core.metrics.confusion import confusion_of_ids
from segspade_core.metrics.summary import summarise
from segspade_core.metrics.tally import Tally


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def test_running_mean_by_loops() -> None:
    """Catches a mean that looks ahead, or starts from zeros."""
    values = np.array([4.0, 2.0, 9.0, 1.0])
    expected = [4.0, 3.0, 5.5, 5.0]
    np.testing.assert_allclose(running_mean(values, 2), expected)
    np.testing.assert_allclose(running_mean(values, 1), values)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(0.01, 1e4))
def test_ticks_lie_within_and_are_few(low: float, span: float) -> None:
    """Catches axes without numbers, or with hundreds."""
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 11
    assert low - 1e-6 * span <= found[0]
    assert found[-1] <= low + span * (1 + 1e-6)


def test_validation_points_stand_at_the_ends_of_epochs() -> None:
    """Catches a flat or upturned curve, and points at the wrong steps: epochs end at 3 and 4."""
    steps = pd.DataFrame({"epoch": [1, 1, 1, 2], "step": [1, 2, 3, 4], "loss": [4.0, 3.0, 2.0, 0.0]})
    epochs = pd.DataFrame({"epoch": [1, 2], "val_loss": [2.0, 1.0], "val_miou": [0.5, 0.6]})
    svg = loss_curves(steps, epochs, "Losses")
    root = ElementTree.fromstring(svg)
    line = next(root.iter("polyline")).attrib["points"].split()
    circles = [(circle.attrib["cx"], circle.attrib["r"]) for circle in root.iter("circle")][:2]
    assert [x for x, _ in circles] == [point.split(",")[0] for point in line[2:]]
    heights = [float(point.split(",")[1]) for point in line]
    assert heights == sorted(set(heights)), "a falling loss falls on the page"
    assert len(line) == 4
    assert "val_loss (per epoch)" in texts(svg)
    assert not any("miou" in text for text in texts(svg))
    assert loss_curves(steps, epochs, "Losses") == svg


def test_a_training_without_steps_says_so() -> None:
    """Catches an empty plot that looks like a fault."""
    assert texts(loss_curves(pd.DataFrame(), pd.DataFrame(), "Losses")) == ["Losses: no steps were recorded"]


def test_bars_are_as_long_as_the_iou_and_absent_is_said() -> None:
    """Catches absent classes drawn as 0 %. By hand: car 1 of 2 pixels (50 %), truck predicted only (0 %)."""
    tally = Tally()
    tally.add("val", "segmenter", "a", np.array([[26, 26, 7]], np.uint8), np.array([[26, 27, 7]], np.uint8))
    table = summarise(tally).per_class.query("class_set == 'ids'")
    svg = iou_bars(table, "IoU <val>")
    found = texts(svg)
    assert found[found.index("car") + 1] == "50.0%"
    assert found[found.index("truck") + 1] == "0.0% (predicted only)"
    assert found[found.index("person") + 1] == "absent"
    widths = {
        re.sub(":.*", "", title.text or ""): float(rect.attrib["width"])
        for rect in ElementTree.fromstring(svg).iter("rect")
        for title in rect.iter("title")
    }
    assert widths["car"] == pytest.approx(widths["road"] / 2)
    assert "nan" not in svg


def test_bars_of_reliability_end_at_the_accuracy() -> None:
    """Catches accuracy and confidence exchanged, and empty bins drawn as 0 %: 3 of 4 are right at 30 %."""
    bins = [
        {"pixels": 4, "confidence": 0.3, "accuracy": 0.75},
        {"pixels": 0, "confidence": None, "accuracy": None},
    ]
    svg = reliability_plot({"ece": 0.45, "mce": 0.45, "bins": bins}, "Reliability <val>")
    bars = [
        {name: float(rect.attrib[name]) for name in ("x", "y", "width", "height")}
        for rect in ElementTree.fromstring(svg).iter("rect")
        if list(rect.iter("title"))
    ]
    assert len(bars) == 3
    accuracy, gap, share = bars
    assert accuracy["height"] == pytest.approx(0.75 * 260)
    assert (gap["y"], gap["height"]) == pytest.approx((accuracy["y"], 0.45 * 260))
    assert share["height"] == 60
    assert "expected calibration error 45.0%" in texts(svg)
    assert "confidence 0% to 50%, mean 30.0%: 75.0% right, 100.0% of pixels" in svg


def test_reliability_of_nothing_says_so() -> None:
    empty = {"pixels": 0, "confidence": None, "accuracy": None}
    svg = reliability_plot({"ece": None, "mce": None, "bins": [empty]}, "Reliability")
    assert texts(svg) == ["Reliability", "no pixels were counted"]


def test_heat_map_rows_are_true_classes() -> None:
    """Catches shares of the predicted class, and the transposed map: 1 of 4 cars taken for truck is 25 %."""
    target = np.array([26, 26, 26, 26, 27], np.uint8)
    predicted = np.array([26, 26, 26, 27, 27], np.uint8)
    svg = confusion_heat_map(confusion_of_ids(target, predicted), NAMES, "Confusion")
    tips = [title.text for title in ElementTree.fromstring(svg).iter("title")]
    assert "car as truck: 25.0%, 1 pixels" in tips
    assert "truck as car: 0.0%, 0 pixels" in tips
    assert "truck as truck: 100.0%, 1 pixels" in tips
    assert "person" not in svg
    assert "(void)" not in svg


def test_heat_map_of_nothing_says_so() -> None:
    """Catches a division by zero where a split holds only void."""
    assert "no pixels were counted" in confusion_heat_map(np.zeros((34, 35), np.int64), NAMES, "Confusion")


def test_ink_comes_from_the_page() -> None:
    """Catches black text on a dark page."""
    svg = confusion_heat_map(np.eye(34, 35, dtype=np.int64), NAMES, "Confusion")
    inks = {element.attrib["fill"] for element in ElementTree.fromstring(svg).iter("text")}
    assert inks == {"currentColor"}
