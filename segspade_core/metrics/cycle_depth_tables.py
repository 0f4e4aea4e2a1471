"""What the rounds of a cycle tell: how far maps drift from the first, which classes die, whether it comes to
rest."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segspade_core.labels import NAMES, NUM_IDS
from segspade_core.metrics.confusion import iou_per_class, mean_iou, pixel_accuracy
from segspade_core.metrics.counting import Counts
from segspade_core.metrics.cycle import aggregate
from segspade_core.metrics.cycle_depth import DepthTally, SampleRound
from segspade_core.metrics.tally import known

ROUND_COLUMNS = [
    "round", "accuracy_first", "miou_first", "boundary_f1_first", "boundary_length_ratio_first",
    "accuracy_before", "miou_before", "boundary_f1_before", "boundary_length_ratio_before",
    "changed", "at_rest", "classes",
]  # fmt: skip
CLASS_COLUMNS = ["round", "class_id", "name", "pixels", "share", "of_first", "iou_first"]
_EDGES = (
    "boundary_f1_first", "boundary_length_ratio_first", "boundary_f1_before", "boundary_length_ratio_before",
)  # fmt: skip


@dataclass(frozen=True)
class Death:
    """A class that was there in round 0 and is not in the last; `round` is the first that it never left."""

    class_id: int
    name: str
    round: int
    first_pixels: int
    last_pixels: int  # 0: gone altogether


@dataclass(frozen=True)
class Depth:
    """Content of a depth artifact.

    Attributes:
        summary: JSON-able; no NaN, None for what cannot be told.
        per_round: a row a round: agreement with round 0 and with the round before, over all samples;
            boundaries are means over samples; `changed` is the share of pixels with another label than in the
            round before, `at_rest` the share of samples where that is below the threshold, `classes` how many
            have a pixel.
        per_class: a row a round and class that has a pixel in any round: its pixels, its share of all,
            `of_first`, that share over the one in round 0 (NaN where that is 0), and its IoU with round 0.
        per_sample: a row a sample and round.
    """

    summary: dict[str, Any]
    per_round: pd.DataFrame
    per_class: pd.DataFrame
    per_sample: pd.DataFrame


def summarise_depth(
    tally: DepthTally, rest: float = 0.005, dead: float = 0.05, least_pixels: int = 100
) -> Depth:
    """Make every table.

    Args:
        tally: of all samples, in their order.
        rest: the cycle is at rest where fewer pixels than this share change in a round.
        dead: a class is dead where it has fewer pixels than this share of those it had in round 0, or none.
        least_pixels: classes with fewer than that in round 0 are not looked at: a few pixels come and go.

    Raises:
        ValueError: nothing was counted.
    """
    if not tally.samples or tally.size is None:
        raise ValueError("a tally of no samples: there is nothing to tell")
    rounds = [_round_row(tally, at, rest) for at in range(tally.rounds + 1)]
    changed = [row["changed"] for row in rounds[1:]]
    since = at_rest_since(changed, rest)
    deaths = find_deaths(tally.pixels[:, :NUM_IDS], dead, least_pixels)
    samples = len({sample.id for sample in tally.samples})
    summary = {
        "rounds": tally.rounds,
        "samples": samples,
        "size": "{}x{}".format(*tally.size),
        "rest": {"below": rest, "reached": since is not None, "since": since, "changed": changed[-1]},
        "deaths": {
            "below": dead,
            "least_pixels": least_pixels,
            "of": int(np.count_nonzero(tally.pixels[0, :NUM_IDS] >= least_pixels)),
            "classes": [asdict(death) for death in deaths],
        },
        "by_round": rounds,
    }
    # None becomes NaN: a column of numbers stays one
    per_round = pd.DataFrame(rounds, columns=pd.Index(ROUND_COLUMNS)).astype(
        {name: float for name in ROUND_COLUMNS if name not in ("round", "classes")}
    )
    return Depth(summary, per_round, _class_table(tally), _sample_table(tally.samples))


def at_rest_since(changed: list[float], below: float) -> int | None:
    """The first round from which on fewer pixels change than the share `below`.

    Args:
        changed: of rounds 1 to K, shares in [0, 1].

    Returns:
        1 to K; None where more change in the last round.
    """
    since = None
    for at in range(len(changed), 0, -1):
        if changed[at - 1] >= below:
            break
        since = at
    return since


def find_deaths(pixels: npt.NDArray[Any], below: float, least_pixels: int) -> list[Death]:
    """Classes that died, those that died first in front, and of these the larger.

    A class that comes back has not died: what counts is from when on it stays away.

    Args:
        pixels: (K + 1, C) pixels of every class in every round.
        below: dead is what has fewer than this share of its first pixels, or none.
        least_pixels: how many it must have had in round 0.
    """
    deaths = []
    for class_id in np.flatnonzero(pixels[0] >= max(1, least_pixels)).tolist():
        counts = pixels[:, class_id]
        is_dead = (counts < below * counts[0]) | (counts == 0)
        if is_dead[-1]:
            alive = np.flatnonzero(~is_dead)
            deaths.append(
                Death(class_id, NAMES[class_id], int(alive[-1]) + 1, int(counts[0]), int(counts[-1]))
            )
    return sorted(deaths, key=lambda death: (death.round, -death.first_pixels))


def _round_row(tally: DepthTally, at: int, rest: float) -> dict[str, Any]:
    own = [sample for sample in tally.samples if sample.round == at]
    area = math.prod(tally.size or ())
    edges = aggregate([{name: _or_nan(getattr(sample, name)) for name in _EDGES} for sample in own])
    row: dict[str, Any] = {"round": at}
    for against, confusion in (("first", tally.with_first[at]), ("before", tally.with_before[at])):
        row |= _agreement(confusion, against)
        row |= {name: known(value) for name, value in edges.items() if name.endswith(against)}
    return row | {
        "changed": sum(sample.changed for sample in own) / (area * len(own)) if at else None,
        "at_rest": sum(sample.changed < rest * area for sample in own) / len(own) if at else None,
        "classes": int(np.count_nonzero(tally.pixels[at, :NUM_IDS])),
    }


def _agreement(confusion: Counts, against: str) -> dict[str, float | None]:
    return {
        f"accuracy_{against}": known(pixel_accuracy(confusion)),
        f"miou_{against}": known(mean_iou(confusion)),
    }


def _class_table(tally: DepthTally) -> pd.DataFrame:
    there = np.flatnonzero(tally.pixels[:, :NUM_IDS].any(axis=0)).tolist()
    total = int(tally.pixels[0].sum())
    rows = []
    for at in range(tally.rounds + 1):
        ious = iou_per_class(tally.with_first[at])
        for class_id in there:
            pixels, first = int(tally.pixels[at, class_id]), int(tally.pixels[0, class_id])
            of_first = pixels / first if first else math.nan
            rows.append((at, class_id, NAMES[class_id], pixels, pixels / total, of_first, ious[class_id]))
    return pd.DataFrame(rows, columns=pd.Index(CLASS_COLUMNS))


def _sample_table(samples: list[SampleRound]) -> pd.DataFrame:
    table = pd.DataFrame([vars(sample) for sample in samples])
    return table.astype(dict.fromkeys(_EDGES, float))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
