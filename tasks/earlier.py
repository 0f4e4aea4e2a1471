"""A dataset that was made of the same source before the source grew: what can be taken over from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from storage.arrays import SplitArrays, open_split
from storage.errors import MissingArtifact
from storage.refs import ArtifactRef
from storage.shard_writing import take_shard
from storage.store import Store
from storage.tables import read_table, write_table
from tasks.plan import Part, Plan
from tasks.splits import full_size_array

# how the input of an ingest begins that is no artifact
OF_FILES = "source/"
# instead of a row: the sample is new, or its files changed
NEW = -1
_LAST = 1 << 62


def plan_inputs(
    workspace: Path, source: str, config: Mapping[str, Any], revision: int, earlier: ArtifactRef | None
) -> dict[str, str]:
    """The inputs of an ingest: the source, and the earlier dataset where there is something to take over.

    Args:
        workspace: where both are.
        source: fingerprint of the files, 'source/…'.
        config: the settings, with the resize rule.
        revision: of the ingest's code.
        earlier: a dataset that may be of the same source; deleted ones are none.
    """
    alone = {"source": source}
    try:
        manifest = None if earlier is None else Store(workspace).manifest(earlier)
    except MissingArtifact:
        manifest = None
    if manifest is None or (manifest.stage, manifest.revision) != ("ingest", revision):
        return alone
    if manifest.config != dict(config) or not manifest.inputs["source"].startswith(OF_FILES):
        return alone
    if manifest.inputs["source"] == source:
        return dict(manifest.inputs)  # nothing changed: it is that dataset
    return {**alone, "earlier": str(earlier)}


def earlier_dataset(plan: Plan) -> Earlier | None:
    """The earlier dataset that is an input of the plan, if there is one."""
    return _opened(plan.workspace, plan.input("earlier")) if "earlier" in plan.inputs else None


@lru_cache(maxsize=2)
def _opened(workspace: Path, ref: ArtifactRef) -> Earlier:
    return Earlier(workspace, ref)


class Earlier:
    """A committed dataset, its samples found by split and id. Threads may share it."""

    def __init__(self, workspace: Path, ref: ArtifactRef) -> None:
        store = Store(workspace)
        manifest = store.manifest(ref)
        self._folder = store.path(ref)
        self._records = {record.path: record for record in manifest.files}
        self._rows: dict[str, pd.DataFrame] = {}
        self._looks: dict[str, dict[str, tuple[int, str]]] = {}
        self._arrays: dict[str, SplitArrays] = {}
        for split in manifest.counts:
            self._rows[split] = read_table(self._folder / f"{split}.samples.parquet")
            files = read_table(self._folder / f"{split}.files.parquet")
            looks = zip(files["id"], files["fingerprint"], strict=True)
            self._looks[split] = {str(id): (row, str(look)) for row, (id, look) in enumerate(looks)}
            for name in (f"{split}.zarr", full_size_array(split)):
                if (self._folder / name).exists():
                    self._arrays[name] = open_split(self._folder / name)

    def row(self, split: str, id: str) -> int:
        """Where the sample is in its split; behind all that are there when it is new."""
        return self._looks.get(split, {}).get(id, (_LAST, ""))[0]

    def unchanged(self, split: str, id: str, fingerprint: str) -> int:
        """Where the sample is in its split, if its files look as they did; else NEW."""
        row, before = self._looks.get(split, {}).get(id, (NEW, ""))
        return row if before == fingerprint else NEW

    def rows(self, split: str, rows: Sequence[int]) -> pd.DataFrame:
        """Those rows of the table of samples."""
        return self._rows[split].iloc[list(rows)]

    def sample(self, made: Path, row: int) -> dict[str, np.ndarray[Any, Any]] | None:
        """Name → pixels of one sample, as the arrays that are made want them; None where it cannot give all.

        Args:
            made: folder of the arrays; of the same name as here.
            row: of the sample here.
        """
        arrays, wanted = self._arrays.get(made.name), open_split(made)
        if arrays is None:
            return None
        if any(name not in arrays or arrays[name].shape[1:] != wanted[name].shape[1:] for name in wanted):
            return None
        return {name: arrays[name][row] for name in wanted}

    def take_shard(self, plan: Plan, part: Part, taken: Sequence[int], table: Path) -> bool:
        """Take over a whole part, if it is the same here, with the rows of its samples.

        Args:
            plan: the ingest.
            part: what is made.
            taken: the row here of each of its samples, or NEW.
            table: where their rows go.
        """
        if list(taken) != list(range(part.start, part.stop)):
            return False
        names = [full_size_array(part.split), part.array]
        for name in names:
            folder = plan.staging / name
            if not folder.exists():
                continue
            if name == part.array:
                # before the shard's marker: a part with a marker has its rows too
                write_table(table, self.rows(part.split, taken))
            if name not in self._arrays or not take_shard(
                folder, self._folder / name, part.shard, self._records
            ):
                return False
        return True
