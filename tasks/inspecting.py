"""The inspector's pictures: every frame of every split on sheets, a shard at a time."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from segspade_core.figures.inspector import render_inspector, split_script
from segspade_core.figures.sheets import Sheets, draw_sheets
from storage.arrays import open_split
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.split_layout import shards
from storage.tables import read_table
from tasks.frames import PICTURES
from tasks.plan import Plan
from tasks.progress import Bar, progress
from tasks.splits import read_rows

PAGE = "inspector.html"
FOLDER = "inspector"


def write_inspector(plan: Plan, splits: list[str], title: str, width: int) -> None:
    """Put the page, the data of every split, and its sheets; those that are there from before are kept.

    Args:
        plan: of the report.
        splits: that were scored.
        width: of a picture, at most, in pixels.

    Raises:
        DamagedArtifact: something it is made from is missing or altered.
    """
    scores = plan.input("scores")
    inputs = plan.store.manifest(scores).input_refs
    per_sample = read_table(plan.store.path(scores) / "per_sample.parquet")
    for split in splits:
        arrays = _arrays(plan, inputs, split)
        rows = read_rows(plan.workspace, inputs[f"{split}.predicted"], split)
        parts = shards(len(rows))
        with progress(f"inspector {split}", len(rows)) as bar, ThreadPoolExecutor(os.cpu_count()) as pool:
            draw = partial(_draw, plan, split, arrays, width, bar)
            sheets = [*pool.map(draw, parts)]
        shape = next(iter(arrays.values())).shape[1:3]
        script = split_script(split, rows, per_sample, sheets, (shape[0], shape[1]))
        put_bytes(plan.staging / FOLDER / f"{split}.js", script.encode())
    put_bytes(plan.staging / PAGE, render_inspector(title, splits).encode())


def _arrays(plan: Plan, inputs: dict[str, ArtifactRef], split: str) -> dict[str, Any]:
    """Name of a picture → what it is read from."""
    found = {}
    for picture, (role, name) in PICTURES.items():
        ref = inputs.get(role.format(split=split))
        if ref is not None:
            arrays = open_split(plan.store.path(ref) / f"{split}.zarr")
            if name in arrays:
                found[picture] = arrays[name]
    return found


def _draw(
    plan: Plan, split: str, arrays: dict[str, Any], width: int, bar: Bar, part: tuple[int, int, int]
) -> Sheets:
    """Put the sheets of one shard. Returns what the page wants to know of them: all but their contents."""
    number, start, stop = part
    # what a killed run has put needs no drawing
    marker = plan.staging / "done" / FOLDER / split / f"{number:05}.json"
    if not marker.exists():
        sheets = draw_sheets({name: np.asarray(array[start:stop]) for name, array in arrays.items()}, width)
        folder = plan.staging / FOLDER / split
        for name, content in sheets.thumbnails.items():
            put_bytes(folder / f"{number:05}-thumbnail-{name}.jpg", content)
        if sheets.photographs:
            put_bytes(folder / f"{number:05}-photographs.jpg", sheets.photographs)
        if sheets.maps:
            put_bytes(folder / f"{number:05}-maps.png", sheets.maps)
        put_bytes(marker, json.dumps({"columns": sheets.columns, "classes": sheets.classes}).encode())
    bar.advance(stop - start)
    return Sheets({}, b"", b"", **json.loads(marker.read_bytes()))
