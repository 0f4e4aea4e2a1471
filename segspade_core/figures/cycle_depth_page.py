"""What the depth of a cycle is in words, and on a small page that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from segspade_core.figures.pages import page_templates
from segspade_core.figures.panels import data_uri
from segspade_core.labels import by_id

_NAMED = 6  # classes in a sentence; the page has them all


def rest_sentence(summary: Mapping[str, Any]) -> str:
    """Whether the cycle came to rest, and when."""
    rest = summary["rest"]
    threshold, changed = f"{rest['below']:.2%}", f"{rest['changed']:.2%}"
    if not rest["reached"]:
        count = summary["rounds"]
        return (
            f"It does not come to rest in {count} round{'s' * (count != 1)}: in the last one {changed} of "
            f"the pixels still change; rest is less than {threshold}."
        )
    return (
        f"It comes to rest in round {rest['since']}: from then on less than {threshold} of the pixels "
        f"change in a round, in the last one {changed}."
    )


def deaths_sentence(summary: Mapping[str, Any]) -> str:
    """Which classes died, those that died first in front, of how many that were looked at."""
    deaths = summary["deaths"]
    found, of = deaths["classes"], deaths["of"]
    dead = (
        f"dead is what has, for good, less than {deaths['below']:.0%} of the pixels it had in the first maps"
    )
    least = deaths["least_pixels"]
    looked_at = (
        f"{of} class{'es' * (of != 1)} of {least:,} pixel{'s' * (least != 1)} or more in the first maps"
    )
    if not found:
        return f"None of the {looked_at} dies; {dead}."
    told = ", ".join(f"{death['name']} in round {death['round']}" for death in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"{len(found)} of the {looked_at} die{'s' * (len(found) == 1)}: {told}{more}; {dead}."


def render_depth(
    summary: Mapping[str, Any], per_class: pd.DataFrame, about: Mapping[str, str], plot: str, film: bytes
) -> str:
    """The page as HTML: pictures inside, no script, no request to anywhere; every name is escaped.

    Args:
        summary: of `metrics.cycle_depth_tables.summarise_depth`.
        per_class: likewise.
        about: name → value of what is told at the end: dataset, models, settings.
        plot: SVG, as it goes into a page.
        film: PNG.
    """
    environment = page_templates()
    environment.filters |= {"percent": _percent, "ratio": _ratio}
    return environment.get_template("depth.html.j2").render(
        summary=summary,
        sentences=[rest_sentence(summary), deaths_sentence(summary)],
        classes=_classes(summary, per_class),
        about=about,
        plot=Markup(plot),
        film=Markup(data_uri(film)),
    )


def _classes(summary: Mapping[str, Any], per_class: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a class: its colour, and its share of all pixels in every round; the largest first."""
    died = {death["class_id"]: death["round"] for death in summary["deaths"]["classes"]}
    rows = []
    for class_id, own in per_class.groupby("class_id", sort=True):
        label = by_id[int(str(class_id))]
        rows.append(
            {
                "name": label.name,
                "colour": "rgb({}, {}, {})".format(*label.colour),
                "shares": own["share"].tolist(),
                "died": died.get(label.id),
            }
        )
    return sorted(rows, key=lambda row: -row["shares"][0])


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
