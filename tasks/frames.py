"""Some frames of a split with all that became of them, out of the artifacts that scores were made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from segspade_core.figures.journey import JourneySample, choose_samples
from storage.arrays import open_split
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.splits import read_rows

# picture of a JourneySample → (input of the scores, array); an input without a dot is shared by all splits
PICTURES = {
    "photo": ("dataset", "image"),
    "true": ("dataset", "label_ids"),
    "predicted": ("{split}.predicted", "label_ids"),
    "painted_true": ("{split}.painted_true", "image"),
    "painted_predicted": ("{split}.painted_predicted", "image"),
    "second": ("{split}.cycle", "label_ids"),
}


def journey_samples(workspace: Path, scores: ArtifactRef, split: str, count: int) -> list[JourneySample]:
    """`count` frames of a split, or all where there are fewer: by day, dusk and night where that is known."""
    inputs = Store(workspace).manifest(scores).input_refs
    # of what was predicted: with a limit that is less than the dataset holds
    rows = read_rows(workspace, inputs[f"{split}.predicted"], split)
    times = [str(time) if isinstance(time, str) and time else None for time in rows["time_of_day"]]
    chosen = choose_samples(times, count)
    pictures = {name: _read(workspace, inputs, split, name, chosen) for name in PICTURES}
    return [
        JourneySample(
            id=str(rows["id"].iloc[row]),
            time_of_day=times[row],
            **{name: found[at] for name, found in pictures.items()},
        )
        for at, row in enumerate(chosen)
    ]


def _read(
    workspace: Path, inputs: dict[str, ArtifactRef], split: str, picture: str, rows: list[int]
) -> list[np.ndarray[Any, Any] | None]:
    role, name = PICTURES[picture]
    ref = inputs.get(role.format(split=split))
    if ref is None:
        return [None] * len(rows)
    arrays = open_split(Store(workspace).path(ref) / f"{split}.zarr")
    return [arrays[name][row] if name in arrays else None for row in rows]


def read_summary(workspace: Path, scores: ArtifactRef) -> dict[str, Any]:
    """What `metrics.summary` says of every split, from a scores artifact."""
    store = Store(workspace)
    store.check_files(scores)
    return dict(json.loads((store.path(scores) / "scores.json").read_bytes()))
