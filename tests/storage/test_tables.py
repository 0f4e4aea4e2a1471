"""Tables come back as they were, and equal tables are equal files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from storage.errors import DamagedArtifact
from storage.tables import read_table, write_table


@pytest.fixture
def table() -> pd.DataFrame:
    ids = [f"aachen_{i:06}_000019" for i in range(100)]
    return pd.DataFrame(
        {"id": ids, "iou": np.linspace(0, 1, 100), "frame": range(100), "time": [None, "day"] * 50}
    )


def test_a_table_comes_back(tmp_path, table):
    write_table(tmp_path / "a.parquet", table)
    assert_frame_equal(read_table(tmp_path / "a.parquet"), table)


def test_an_index_is_left_out_and_an_empty_table_keeps_its_columns(tmp_path, table):
    write_table(tmp_path / "a.parquet", table[table["frame"] > 1000])
    assert list(read_table(tmp_path / "a.parquet").columns) == list(table.columns)
    write_table(tmp_path / "a.parquet", table.iloc[::-1])
    assert_frame_equal(read_table(tmp_path / "a.parquet"), table.iloc[::-1].reset_index(drop=True))


def test_equal_tables_are_equal_files(tmp_path, table):
    write_table(tmp_path / "a.parquet", table)
    write_table(tmp_path / "b.parquet", table.copy())
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_half_a_table_says_which_file_it_is(tmp_path, table):
    path = tmp_path / "a.parquet"
    write_table(path, table)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedArtifact, match=r"a\.parquet: not a whole Parquet file"):
        read_table(path)
