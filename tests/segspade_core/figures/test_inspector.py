"""What the inspector's page knows: values beside the frames that they are of, and nothing that is run."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from segspade_core.figures.inspector import as_script, render_inspector, split_script
from segspade_core.figures.sheets import Sheets

EVIL = "</script><script>alert(1)</script>"
ROWS = pd.DataFrame(
    {"id": ["a", EVIL, "c"], "city": ["ulm", "bonn", None], "time_of_day": ["day", None, "day"]}, dtype=object
)
PER_SAMPLE = pd.DataFrame(
    # in another order than the frames, as the table sorts by name
    [
        ("val", "c", "segmenter", 0.3, np.nan, np.nan),
        ("val", "a", "segmenter", 0.123456, 0.9, 1.5),
        ("val", EVIL, "segmenter", 0.2, 0.8, 0.25),
        ("train", "a", "segmenter", 0.7, 0.7, 7),
        ("val", "a", "cycle", np.nan, 0.5, np.nan),
    ],
    columns=["split", "id", "comparison", "miou", "pixel_accuracy", "loss"],
)
COLUMNS = {"thumbnails": ["photo"], "photographs": ["photo"], "maps": ["predicted"]}
SHEETS = [Sheets({}, b"", b"", COLUMNS, [1 << 33 | 1 << 7, 2]), Sheets({}, b"", b"", COLUMNS, [4])]


def known() -> dict[str, Any]:
    script = split_script("val", ROWS, PER_SAMPLE, SHEETS, (100, 200))
    assert script.startswith('segspadeSplits["val"] = ')
    return dict(json.loads(script.removeprefix('segspadeSplits["val"] = ').rstrip(";\n")))


def test_values_stand_beside_the_frames_they_are_of() -> None:
    """Fault: a table in another order is laid beside the frames row by row."""
    data = known()
    assert data["ids"] == ["a", EVIL, "c"]
    assert data["measures"]["miou"]["values"] == [0.1235, 0.2, 0.3]
    assert data["measures"]["accuracy"]["values"] == [0.9, 0.8, None]
    assert data["measures"]["agreement"]["values"] == [0.5, None, None]
    assert data["measures"]["loss"]["values"] == [1.5, 0.25, None]
    assert [name for name, measure in data["measures"].items() if measure["isLoss"]] == ["loss"]
    # what has no value at all is not offered
    assert set(data["measures"]) == {"miou", "accuracy", "loss", "agreement"}
    assert data["city"] == {"names": ["bonn", "ulm"], "of": [1, 0, -1]}
    assert data["time"] == {"names": ["day"], "of": [0, -1, 0]}
    assert (data["classes"], data["perSheet"], data["aspect"]) == ([1 << 33 | 1 << 7, 2, 4], 2, 2.0)


def test_no_name_ends_the_script_it_stands_in() -> None:
    assert "<" not in split_script("val", ROWS, PER_SAMPLE, SHEETS, (1, 1))
    assert json.loads(as_script({"x": EVIL + "\u2028"})) == {"x": EVIL + "\u2028"}
    page = render_inspector(EVIL, ["val"])
    assert "alert(1)" in page
    assert EVIL not in page
    assert '<script src="inspector/val.js"></script>' in page
