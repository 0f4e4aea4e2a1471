"""What a report shows; whoever opens artifacts fills this in, and `report.py` turns it into a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from segspade_core.figures.journey import JourneySample


@dataclass(frozen=True)
class LineageStep:
    """One artifact of the journey, as its manifest tells."""

    kind: str
    key: str
    stage: str
    seconds: float | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    device: str = ""


@dataclass(frozen=True, eq=False)
class TrainingHistory:
    """The record of one training run: a heading, a row a step, a row an epoch."""

    heading: str
    steps: pd.DataFrame
    epochs: pd.DataFrame


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything on the page.

    Attributes:
        title: heading of the page.
        summary: of the scores artifact (metrics.summary.Scores.summary).
        per_class: of the scores artifact.
        per_category: likewise.
        confusion: of the scores artifact.
        journeys: split → the frames shown of it.
        facts: name → value, such as dataset, image size, number of samples, git commit.
        lineage: every artifact from the source to the scores, in the order of making.
        histories: of the models that were trained.
        notes: sentences a reader must know, such as that the generator was trained beforehand.
        inspector: name of the page beside this one that shows every frame; empty where there is none.
    """

    title: str
    summary: Mapping[str, Any]
    per_class: pd.DataFrame
    per_category: pd.DataFrame
    confusion: pd.DataFrame
    journeys: Mapping[str, Sequence[JourneySample]]
    facts: Mapping[str, str] = field(default_factory=dict)
    lineage: Sequence[LineageStep] = ()
    histories: Sequence[TrainingHistory] = ()
    notes: Sequence[str] = ()
    inspector: str = ""
