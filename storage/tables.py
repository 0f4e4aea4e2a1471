"""Tables as Parquet: equal tables give equal bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import DamagedArtifact
from storage.files import put_bytes

if TYPE_CHECKING:
    import pandas as pd


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Put a table atomically; the index is not kept."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    buffer = io.BytesIO()
    # one thread and one row group after another: the order of bytes must not depend on timing
    content = pa.Table.from_pandas(table, preserve_index=False, nthreads=1)
    pq.write_table(content, buffer, compression="zstd", row_group_size=1 << 16)
    put_bytes(path, buffer.getvalue())


def read_table(path: Path) -> pd.DataFrame:
    """The table in a file.

    Raises:
        FileNotFoundError: there is none.
        DamagedArtifact: the file is no whole Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = path.read_bytes()
    try:
        return pq.read_table(io.BytesIO(content)).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise DamagedArtifact(f"{path}: not a whole Parquet file ({error})") from error
