"""One shard of a dataset that is being ingested, and the rows of its samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from segspade_core.config import IngestConfig
from segspade_core.datasets.decode import Reads, load_sample
from segspade_core.datasets.files import SampleFiles
from segspade_core.errors import Problem
from storage.shard_writing import ShardWriter
from storage.tables import write_table
from tasks.earlier import Earlier
from tasks.plan import Part, Plan
from tasks.splits import full_size_array

# columns of <split>.samples.parquet, as DESIGN.md lists them
COLUMNS = ("id", "city", "sequence", "frame", "time_of_day", "source_sha256")
Arrays = Mapping[str, np.ndarray[Any, Any]]


def rows_path(plan: Plan, part: Part) -> Path:
    """The table of a part's samples, until those of all parts are one."""
    return plan.staging / "done" / f"{part.name}.rows.parquet"


class IngestedShard:
    """The samples of a part, packed by a thread of its own while the next is decoded; `put` ends it."""

    def __init__(self, plan: Plan, part: Part) -> None:
        self.problems: list[Problem] = []
        self._plan, self._part = plan, part
        self._rows: list[dict[str, Any]] = []
        self._writer = ShardWriter(plan.staging / part.array, part.shard)
        folder = plan.staging / full_size_array(part.split)
        self._full_size = ShardWriter(folder, part.shard) if folder.exists() else None
        self._packing = ThreadPoolExecutor(1, "pack")
        self._packed: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._packing.shutdown(cancel_futures=True)

    def load(self, source: Reads, files: SampleFiles, config: IngestConfig) -> None:
        """Add a sample from its files. Raises SourceError: they are wrong."""
        loaded = load_sample(source, files, config)
        arrays = {name: array for name, array in vars(loaded.sample).items() if array is not None}
        self._add(arrays, loaded.full_size, lambda: {**vars(files), "source_sha256": loaded.sha256})

    def take(self, earlier: Earlier, row: int) -> bool:
        """Add a sample from an earlier dataset, if that has all of it."""
        folders = [writer.path for writer in (self._writer, self._full_size) if writer is not None]
        found = [earlier.sample(folder, row) for folder in folders]
        if None in found:
            return False
        arrays, *full_size = (arrays for arrays in found if arrays is not None)
        (about,) = earlier.rows(self._part.split, [row]).to_dict("records")
        row_there = {str(name): about[name] for name in about}
        self._add(arrays, full_size[0] if full_size else {}, lambda: row_there)
        return True

    def put(self) -> None:
        """Put the shard, and the rows of its samples."""
        self._wait()
        if self._full_size is not None:
            self._full_size.put()
        write_table(rows_path(self._plan, self._part), pd.DataFrame(self._rows, columns=list(COLUMNS)))
        # the shard's marker comes last: a part with a marker has its rows too
        self._writer.put()

    def _add(self, arrays: Arrays, full_size: Arrays, row: Callable[[], dict[str, Any]]) -> None:
        self._wait()  # one at a time: a sample of full size takes tens of megabytes
        self._packed = self._packing.submit(self._pack, arrays, full_size, row)

    def _pack(self, arrays: Arrays, full_size: Arrays, row: Callable[[], dict[str, Any]]) -> None:
        self._rows.append(row())
        self._writer.add(_those_of(self._writer, arrays))
        if self._full_size is not None:
            self._full_size.add(_those_of(self._full_size, full_size))

    def _wait(self) -> None:
        if self._packed is not None:
            self._packed.result()


def _those_of(writer: ShardWriter, arrays: Arrays) -> Arrays:
    """The arrays that every sample of the split has."""
    return {name: arrays[name] for name in writer.names}
