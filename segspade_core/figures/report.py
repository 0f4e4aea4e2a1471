"""The report: one HTML page that needs nothing beside itself, to be opened from a file.

The page of `inspector.py` lies beside it, where there is one, and is linked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import pandas as pd
from markupsafe import Markup

from segspade_core.figures.confusion import confusion_heat_map
from segspade_core.figures.curves import loss_curves
from segspade_core.figures.iou import iou_bars
from segspade_core.figures.journey import JOURNEYS, Journey, JourneySample
from segspade_core.figures.pages import page_templates
from segspade_core.figures.painting import painting_table
from segspade_core.figures.panels import data_uri, jpeg, map_png, shrink
from segspade_core.figures.reliability import reliability_plot
from segspade_core.figures.report_data import ReportData
from segspade_core.metrics.class_sets import CLASS_SETS
from segspade_core.metrics.mistakes import ConfusedPair
from segspade_core.metrics.score_tables import matrix_of, pairs_of

_PICTURE_WIDTH = 512
_MOST_PAIRS = 12
COMPARISON_NAMES = {
    "segmenter": "Segmenter on photographs",
    "painted_true": "Segmenter on images painted from true maps",
    "painted_predicted": "Segmenter on images painted from predicted maps",
    "cycle": "Cycle: second map against first",
}
_SET_NAMES = {"ids": "label ids", "train_ids": "19 official"}
_REACH = {"ids": "label ids", "train_ids": "the 19 official classes"}
# classes that the study found to be taken for one another
_ALIKE = (("car", "truck", "caravan", "trailer"), ("person", "rider"))
_ALIKE_PAIRS = {pair for group in _ALIKE for pair in permutations(group, 2)}


def render_report(data: ReportData) -> str:
    """The page as HTML: all pictures inside, no script, no request to anywhere.

    The same data give the same text. Every name is escaped, so an id may hold any character.
    """
    environment = page_templates()
    environment.filters |= {"percent": _percent, "ratio": _ratio, "seconds": _seconds, "pretty": _pretty}
    splits = data.summary["splits"]
    return environment.get_template("report.html.j2").render(
        data=data,
        names=COMPARISON_NAMES,
        set_names=_SET_NAMES,
        further=_further(splits),
        sizes=sorted({row["size"] for comparisons in splits.values() for row in comparisons.values()}),
        headline=_headline(data),
        painting=painting_table(data.summary.get("painting", {})),
        journeys={split: _journeys(samples) for split, samples in data.journeys.items()},
        curves=[
            Markup(loss_curves(history.steps, history.epochs, history.heading)) for history in data.histories
        ],
        details=[_details(data, split, comparison) for split in splits for comparison in splits[split]],
    )


def _headline(data: ReportData) -> list[dict[str, Any]]:
    """The figures that answer whether the journey works, of val where there is one."""
    splits = data.summary["splits"]
    split = "val" if "val" in splits else next(iter(splits), None)
    if split is None:
        return []
    wanted = (
        ("segmenter", "pixel accuracy on photographs"),
        ("painted_true", "pixel accuracy on images painted from true maps"),
        ("cycle", "of pixels alike in first and second map"),
    )
    return [
        {"value": splits[split][name]["ids"]["pixel_accuracy"], "label": label, "split": split}
        for name, label in wanted
        if name in splits[split]
    ]


def _further(splits: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is known of some comparisons only: a row each that has any of it."""
    rows = [
        {
            "split": split,
            "comparison": comparison,
            "instances": row.get("instances"),
            "calibration": row.get("calibration"),
            "edges": "boundary_f1" in row,
            "row": row,
        }
        for split, comparisons in splits.items()
        for comparison, row in comparisons.items()
    ]
    return [row for row in rows if row["instances"] or row["calibration"] or row["edges"]]


def _journeys(samples: Sequence[JourneySample]) -> list[dict[str, Any]]:
    return [
        {"heading": journey.heading, "samples": samples, "rows": rows}
        for journey in JOURNEYS
        if (rows := _rows(journey, samples))
    ]


def _rows(journey: Journey, samples: Sequence[JourneySample]) -> list[dict[str, Any]]:
    return [
        {"caption": caption, "cells": [_cell(getattr(sample, name)) for sample in samples]}
        for caption, name in journey.rows
        if any(getattr(sample, name) is not None for sample in samples)
    ]


def _cell(picture: Any) -> dict[str, Any] | None:
    if picture is None:
        return None
    small = shrink(picture, _PICTURE_WIDTH)
    height, width = small.shape[:2]
    # maps stay exact; photographs may lose what no eye sees
    content = map_png(small) if small.ndim == 2 else jpeg(small)
    return {"uri": Markup(data_uri(content)), "width": width, "height": height}


def _details(data: ReportData, split: str, comparison: str) -> dict[str, Any]:
    name = f"{COMPARISON_NAMES[comparison]}, {split}"
    by_set = _by_set(data.per_class, split, comparison)
    calibration = data.summary["splits"][split][comparison].get("calibration", {})
    pairs = pairs_of(data.confusion, split, comparison)
    matrix = matrix_of(data.confusion, split, comparison)
    return {
        "id": f"{split}-{comparison}",
        "name": name,
        "open": comparison == "segmenter" and split == ("val" if "val" in data.summary["splits"] else split),
        "bars": Markup(iou_bars(by_set["ids"], f"IoU per class: {name}")),
        "heat": Markup(confusion_heat_map(matrix, CLASS_SETS["ids"], f"Confusion in %: {name}")),
        "reliability": [
            Markup(reliability_plot(of_set, f"Reliability over {_REACH[key]}: {name}"))
            for key, of_set in calibration.items()
        ],
        "classes": {key: _records(rows) for key, rows in by_set.items()},
        "categories": {
            key: _records(rows) for key, rows in _by_set(data.per_category, split, comparison).items()
        },
        "pairs": [_pair(pair) for pair in pairs[:_MOST_PAIRS]],
        "alike": [_pair(pair) for pair in pairs if (pair.true, pair.predicted) in _ALIKE_PAIRS],
    }


def _by_set(table: pd.DataFrame, split: str, comparison: str) -> dict[str, pd.DataFrame]:
    own = table[(table["split"] == split) & (table["comparison"] == comparison)]
    return {class_set: own[own["class_set"] == class_set] for class_set in CLASS_SETS}


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with None in place of NaN, which is not told."""
    names = [str(name) for name in rows.columns]
    known = rows.astype(object).where(rows.notna(), None)
    return [dict(zip(names, row, strict=True)) for row in known.itertuples(index=False, name=None)]


def _pair(pair: ConfusedPair) -> dict[str, Any]:
    return {**vars(pair), "alike": (pair.true, pair.predicted) in _ALIKE_PAIRS}


def _percent(value: float | None) -> str:
    return "not told" if value is None else f"{value:.1%}"


def _ratio(value: float | None) -> str:
    return "not told" if value is None else f"{value:.2f}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f} s"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, default=str)
