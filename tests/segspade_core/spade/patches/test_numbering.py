"""Numbers of equal rows against Python's own dictionary, in both ways."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segspade_core.spade.patches.numbering import (
    HashedRows,
    RowNumbers,
    SortedRows,
    number_by_sorting,
    parts,
    windows,
)


def numbers_by_dictionary(rows: torch.Tensor, known: dict[tuple[int, ...], int]) -> list[int]:
    return [known.setdefault(tuple(row), len(known)) for row in rows.tolist()]


def numbering(compiled: bool, width: int, bound: int) -> RowNumbers:
    return HashedRows(width) if compiled else SortedRows(width, bound, torch.device("cpu"))


@pytest.mark.parametrize("compiled", [True, False])
@given(
    # 9 codes below 71 fit one key of 63 bits; 25 do not, nor do 9 codes below 511
    width=st.sampled_from([1, 9, 25]),
    bound=st.sampled_from([2, 71, 511]),
    variety=st.integers(1, 4),
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_equal_rows_keep_their_number_from_call_to_call(
    compiled: bool, width: int, bound: int, variety: int, lengths: list[int], seed: int
) -> None:
    """Fault: a key that overflows, a hash taken for the row, rows lost as tables grow."""
    torch.manual_seed(seed)
    ours, known = numbering(compiled, width, bound), dict[tuple[int, ...], int]()
    for length in lengths:
        # few codes, the largest among them, so that rows repeat
        rows = torch.randint(max(0, bound - variety), bound, (length, width), dtype=torch.int16)
        rows[length // 2 :] = rows[: length - length // 2].flip(0)
        numbers = ours.number(rows)
        assert numbers.dtype == torch.int32
        assert numbers.tolist() == numbers_by_dictionary(rows, known)
        assert ours.count == len(known)
        assert [tuple(row) for row in ours.known().tolist()] == list(known)
        assert ours.known(ours.count // 2).tolist() == ours.known().tolist()[ours.count // 2 :]


def test_rows_that_differ_in_one_code_alone_are_told_apart() -> None:
    """Fault: a key that wraps, or forgets a column; 510 and 0 are the ends of 9 bits."""
    rows = torch.zeros(1 + 2 * 25, 25, dtype=torch.int16)
    for column in range(25):
        rows[1 + 2 * column, column], rows[2 + 2 * column, column] = 1, 510
    for compiled in (True, False):
        assert numbering(compiled, 25, 511).number(rows).tolist() == list(range(51))
    assert number_by_sorting(rows, 511)[1] == 51


def test_windows_and_their_parts_worked_by_hand() -> None:
    """Fault: rows for columns, a border of the wrong code, parts out of reading order."""
    codes = torch.arange(6, dtype=torch.int16).view(1, 2, 3)
    patches = windows(codes, outside=9)
    assert patches.shape == (6, 25)
    assert patches[4].view(5, 5).tolist() == [
        [9, 9, 9, 9, 9],
        [9, 0, 1, 2, 9],
        [9, 3, 4, 5, 9],
        [9, 9, 9, 9, 9],
        [9, 9, 9, 9, 9],
    ]
    threes = parts(patches[4:5])
    assert threes.shape == (9, 9)
    assert threes[1].tolist() == [9, 9, 9, 0, 1, 2, 3, 4, 5]  # above the middle
    assert threes[3].tolist() == [9, 0, 1, 9, 3, 4, 9, 9, 9]  # left of it
