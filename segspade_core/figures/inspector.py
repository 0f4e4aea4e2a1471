"""The inspector: a page beside the report that shows every frame of every split, sorted and filtered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from segspade_core.figures.pages import page_templates
from segspade_core.figures.sheets import Sheets
from segspade_core.labels import NAMES, NUM_IDS, VOID_IDS, ids_to_colours

# what can be sorted by: name → words, comparison and column of the table of samples
MEASURES: dict[str, tuple[str, str, str]] = {
    "miou": ("mIoU of the segmenter", "segmenter", "miou"),
    "accuracy": ("pixel accuracy of the segmenter", "segmenter", "pixel_accuracy"),
    "loss": ("loss of the segmenter", "segmenter", "loss"),
    "agreement": ("agreement of first and second map", "cycle", "pixel_accuracy"),
    "cycle_miou": ("mIoU of second map against first", "cycle", "miou"),
    "painted_miou": ("mIoU on paintings of the true maps", "painted_true", "miou"),
}
WORDS = {
    "photo": "photograph",
    "painted_predicted": "painting",
    "painted_true": "painting of the true map",
    "true": "true map",
    "predicted": "prediction",
    "error": "error of the prediction",
    "second": "second map",
    "disagreement": "where first and second map differ",
}


def render_inspector(title: str, splits: Sequence[str]) -> str:
    """The page as HTML; it reads `inspector/<split>.js` beside it, and sheets as they are looked at."""
    environment = page_templates()
    assert environment.loader is not None
    script, _, _ = environment.loader.get_source(environment, "inspector.js")
    classes = [
        {"id": label_id, "name": NAMES[label_id], "colour": _hex(label_id)}
        for label_id in range(NUM_IDS)
        if label_id not in VOID_IDS
    ]
    return environment.get_template("inspector.html.j2").render(
        title=title,
        splits=splits,
        script=Markup(script),
        constants=Markup(as_script({"words": WORDS, "classes": classes})),
    )


def split_script(
    split: str, rows: pd.DataFrame, per_sample: pd.DataFrame, sheets: Sequence[Sheets], shape: tuple[int, int]
) -> str:
    """What the page knows of one split, as a script: a page that is a file may read no other file.

    Args:
        rows: a row a frame, in the order of the sheets: id, city, time_of_day.
        per_sample: of the scores artifact.
        sheets: every one of the split, in order; their contents are not looked at.
        shape: (H, W) of a picture, whose aspect is shown.
    """
    ids = [str(each) for each in rows["id"]]
    measures = {
        name: {"words": words, "values": values, "isLoss": column == "loss"}
        for name, (words, comparison, column) in MEASURES.items()
        if (values := _values(per_sample, split, comparison, column, ids)) is not None
    }
    data = {
        "split": split,
        "aspect": shape[1] / shape[0],
        "perSheet": max((len(sheet.classes) for sheet in sheets), default=0),
        "columns": sheets[0].columns if sheets else {},
        "ids": ids,
        "city": _names(rows, "city"),
        "time": _names(rows, "time_of_day"),
        "classes": [mask for sheet in sheets for mask in sheet.classes],
        "measures": measures,
    }
    return f"segspadeSplits[{as_script(split)}] = {as_script(data)};\n"


def _values(
    per_sample: pd.DataFrame, split: str, comparison: str, column: str, ids: Sequence[str]
) -> list[float | None] | None:
    own = per_sample[(per_sample["split"] == split) & (per_sample["comparison"] == comparison)]
    known = dict(zip(own["id"], own[column], strict=True))
    values = [known.get(each) for each in ids]
    if not any(value is not None and not np.isnan(value) for value in values):
        return None
    return [None if value is None or np.isnan(value) else round(float(value), 4) for value in values]


def _names(rows: pd.DataFrame, column: str) -> Mapping[str, Any]:
    """Each name once, and the number of its own for each frame; -1: not known."""
    values = [str(value) if isinstance(value, str) and value else None for value in rows[column]]
    names = sorted({value for value in values if value is not None})
    return {"names": names, "of": [-1 if value is None else names.index(value) for value in values]}


def _hex(label_id: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*ids_to_colours(np.array(label_id, np.uint8)))


def as_script(value: Any) -> str:
    """JSON that may stand in a script of a page: no name in it can end the script."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
