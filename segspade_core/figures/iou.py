"""IoU per class as bars."""

from __future__ import annotations

import pandas as pd

from segspade_core.figures import svg

_ROW, _LEFT, _BAR, _RIGHT = 20, 150, 380, 130


def iou_bars(per_class: pd.DataFrame, title: str) -> str:
    """Draw a bar a class, in the order of the table; a class that was in neither map is said to be absent.

    Args:
        per_class: rows of one split, comparison and class set: name, iou, true_pixels, absent.
        title: for the drawing.

    Returns:
        SVG.
    """
    parts = [svg.text(8, 16, title, extra=' font-weight="600"')]
    top = 30
    bottom = top + _ROW * len(per_class)
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(svg.line(_LEFT + value * _BAR, top, _LEFT + value * _BAR, bottom))
        parts.append(svg.text(_LEFT + value * _BAR, bottom + 16, f"{value:.0%}", "middle"))
    for at, row in enumerate(per_class.to_dict("records")):
        y = top + at * _ROW
        parts.append(svg.text(_LEFT - 8, y + 14, str(row["name"]), "end"))
        if row["absent"]:
            parts.append(
                svg.text(_LEFT + 6, y + 14, "absent", extra=' fill-opacity="0.65" font-style="italic"')
            )
            continue
        iou = float(row["iou"])
        parts.append(
            svg.rect(_LEFT, y + 3, iou * _BAR, _ROW - 6, svg.SERIES[0], tip=f"{row['name']}: {iou:.1%}")
        )
        note = "" if row["true_pixels"] else " (predicted only)"
        parts.append(svg.text(_LEFT + iou * _BAR + 6, y + 14, f"{iou:.1%}{note}"))
    return svg.document(_LEFT + _BAR + _RIGHT, bottom + 24, title, parts)
