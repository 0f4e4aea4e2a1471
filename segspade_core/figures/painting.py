"""The scores of painted images laid out for reading: values side by side, and what each depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segspade_core.metrics.painting_names import ABOUT, Painting, ScoreName, show

FROM: dict[Painting, str] = {"painted_true": "true maps", "painted_predicted": "predicted maps"}
# they differ from column to column, and are told there
_OF_ONE_COLUMN = ("std_over_subsets", "identical")


@dataclass(frozen=True)
class PaintingColumn:
    """One set of painted images: of which split, painted from which maps, and how many."""

    split: str
    source: str
    count: int


@dataclass(frozen=True)
class PaintingRow:
    """One score: its values, a column each, and what all of them depend on."""

    label: str
    short: str
    meaning: str
    better: str
    compares: str
    values: tuple[str, ...]
    size: str
    interpolation: str
    extractor: str
    settings: str


@dataclass(frozen=True)
class PaintingTable:
    """All of them. `left_out` says what is missing and how to get it, `notes` how far to trust the rest."""

    columns: tuple[PaintingColumn, ...]
    rows: tuple[PaintingRow, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def painting_table(painting: Mapping[str, Any]) -> PaintingTable | None:
    """The scores of painted images, out of a summary's 'painting'; None where nothing was scored."""
    found = [
        (PaintingColumn(split, FROM[name], row["samples"]), row["scores"])
        for split, paintings in painting.items()
        for name, row in paintings.items()
    ]
    if not found:
        return None
    columns = tuple(column for column, _ in found)
    every = [score for _, scores in found for score in scores.values()]
    return PaintingTable(
        columns,
        tuple(_row(name, [scores[name] for _, scores in found]) for name in found[0][1]),
        _once(score["note"] for score in every if score["value"] is None),
        _once(score["note"] for score in every if score["value"] is not None),
    )


def _row(name: ScoreName, scores: Sequence[Mapping[str, Any]]) -> PaintingRow:
    about = ABOUT[name]
    settings: dict[str, list[str]] = {}
    for score in scores:
        for key, value in score["settings"].items():
            if key not in _OF_ONE_COLUMN:
                settings.setdefault(key.replace("_", " "), []).append(str(value))

    def told(what: str) -> str:
        return " / ".join(_once(score[what] for score in scores))

    return PaintingRow(
        about.label,
        about.short,
        about.meaning,
        f"{about.better} is better",
        about.compares,
        tuple(_value(name, score) for score in scores),
        told("size"),
        told("interpolation"),
        told("extractor"),
        ", ".join(f"{key} {' / '.join(_once(values))}" for key, values in settings.items()),
    )


def _value(name: ScoreName, score: Mapping[str, Any]) -> str:
    spread = score["settings"].get("std_over_subsets")
    return show(name, score["value"]) + (f" ± {show(name, spread)}" if spread else "")


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    """Each text that is not empty, in the order of the first."""
    return tuple(dict.fromkeys(text for text in texts if text))
