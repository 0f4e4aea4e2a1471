"""What batch stages share: which samples of a split go through, and the arrays and rows of what they make."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from segspade_core.config import Resolution, Split
from segspade_core.errors import InputError
from storage.arrays import SplitArrays, open_split
from storage.refs import ArtifactRef
from storage.split_layout import create_split
from storage.store import Store
from storage.tables import read_table, write_table
from tasks.plan import Part, Plan, parts_of


def open_input(workspace: Path, ref: ArtifactRef, split: str, array: str) -> SplitArrays:
    """The arrays of one split of an artifact.

    Raises:
        InputError: the artifact has no such split, or the split no such array.
    """
    folder = Store(workspace).path(ref)
    path = folder / f"{split}.zarr"
    if not path.exists():
        there = ", ".join(splits_in(folder)) or "no splits at all"
        raise InputError(f"{ref} has no split '{split}'; it has {there}")
    arrays = open_split(path)
    if array not in arrays:
        raise InputError(f"split '{split}' of {ref} has no {array}; it has {', '.join(sorted(arrays))}")
    return arrays


def splits_in(folder: Path) -> list[str]:
    """The splits of an artifact, in the usual order."""
    return [split for split in get_args(Split) if (folder / f"{split}.zarr").exists()]


def full_size_array(split: str) -> str:
    """Folder of a split's true maps at the size they were annotated at, within a dataset that keeps them."""
    return f"{split}.full_size.zarr"


def true_maps(workspace: Path, dataset: ArtifactRef, split: str, resolution: Resolution) -> SplitArrays:
    """The true maps to compare predictions with: with 'label' at the largest size there is.

    Raises:
        InputError: the dataset has no such split, or it has no label maps.
    """
    full_size = Store(workspace).path(dataset) / full_size_array(split)
    if resolution == "label" and full_size.exists():
        return open_split(full_size)
    return open_input(workspace, dataset, split, "label_ids")


def begin_split(plan: Plan, source: str, read: str, *made: str) -> list[Part]:
    """Make room for what a batch stage makes of one split, and tell the parts it is made in.

    Args:
        plan: the stage; its config has `split` and `limit`.
        source: name of the input that is read.
        read: the array of it that is read.
        made: the arrays that are made, a sample for each that is read.
    """
    split, limit = plan.config["split"], plan.config["limit"]
    ref = plan.input(source)
    array = open_input(plan.workspace, ref, split, read)[read]
    count = len(array) if limit is None else min(limit, len(array))
    size = (array.shape[1], array.shape[2])
    create_split(plan.staging / f"{split}.zarr", count, size, made, {"stage": plan.stage})
    rows = read_rows(plan.workspace, ref, split).head(count)
    write_table(plan.staging / f"{split}.samples.parquet", rows)
    return parts_of({split: count})


def read_rows(workspace: Path, ref: ArtifactRef, split: str) -> pd.DataFrame:
    """The table of samples of one split: id, city, sequence, frame, time_of_day, source_sha256."""
    return read_table(Store(workspace).path(ref) / f"{split}.samples.parquet")


def losses_table(split: str) -> str:
    """Table of how wrong predictions are, within label maps of photographs that have true maps: id, loss."""
    return f"{split}.losses.parquet"


def read_losses(workspace: Path, label_maps: ArtifactRef, split: str) -> list[float | None]:
    """The loss of each sample, in nats a pixel; None where it is not known, and empty where none is."""
    file = Store(workspace).path(label_maps) / losses_table(split)
    if not file.exists():
        return []
    return [None if pd.isna(loss) else float(loss) for loss in read_table(file)["loss"]]


def names_of(column: pd.Series) -> list[str | None]:
    """A column of names, such as cities; None where one is not known."""
    return [None if pd.isna(name) else str(name) for name in column]


def has_labels(workspace: Path, dataset: ArtifactRef, split: str) -> bool:
    """Whether the split of a dataset has true label maps; a test split often has none."""
    return "label_ids" in open_input(workspace, dataset, split, "image")


def photograph_of(workspace: Path, ref: ArtifactRef, sample_id: str) -> np.ndarray:
    """(H, W, 3) uint8: a photograph of the dataset that `ref` is, or was made from.

    Raises:
        InputError: no split of it has such a sample.
    """
    store = Store(workspace)
    datasets = [at for at in store.lineage(ref) if at.kind == "dataset" and store.exists(at)]
    some: list[str] = []
    for dataset in datasets:
        for table in sorted(store.path(dataset).glob("*.samples.parquet")):
            split = table.name.removesuffix(".samples.parquet")
            ids = read_rows(workspace, dataset, split)["id"]
            some = some or ids.astype(str).tolist()[:3]
            found = ids.to_numpy() == sample_id
            if found.any():
                index = int(found.argmax())
                image = open_input(workspace, dataset, split, "image")["image"][index : index + 1]
                return np.asarray(image[0])
    where = ", ".join(map(str, datasets)) or f"what {ref} was made from"
    others = f"; there are {', '.join(some)}, …" if some else ""
    raise InputError(f"no photograph '{sample_id}' in {where}{others}")
