"""A city in a folder of the user's: whole, and never mixed with another."""

from __future__ import annotations

from pathlib import Path

import pytest

from segspade_core.config import MinicityConfig
from segspade_core.errors import InputError
from tasks.minicity_folder import draw_folder

SMALL = MinicityConfig(train=2, val=1, size=(32, 64))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_city_that_was_cut_short_is_drawn_to_the_same_bytes(tmp_path: Path) -> None:
    """Fault: what is left of a killed run is taken for whole, or for another city."""
    draw_folder(SMALL, tmp_path)
    whole = contents(tmp_path)
    assert len(whole) == 3 * 5 + 1
    (tmp_path / "minicity.json").unlink()
    next((tmp_path / "leftImg8bit").rglob("*.png")).unlink()
    draw_folder(SMALL, tmp_path)
    assert contents(tmp_path) == whole


def test_two_cities_are_not_mixed(tmp_path: Path) -> None:
    """Fault: a second city is drawn between the frames of the first, and both are ingested as one."""
    draw_folder(SMALL, tmp_path)
    before = contents(tmp_path)
    other = SMALL.model_copy(update={"seed": 1})
    with pytest.raises(
        InputError, match=r"holds another city; give .* \(minicity.json: 2 \+ 1 frames, seed 0\)"
    ):
        draw_folder(other, tmp_path)
    assert contents(tmp_path) == before
    (tmp_path / "minicity.json").unlink()
    with pytest.raises(InputError, match=r"holds another city; .* \(leftImg8bit/train/.*_leftImg8bit.png\)"):
        draw_folder(MinicityConfig(train=1, val=1, size=(32, 64)), tmp_path)
    (tmp_path / "minicity.json").write_text("{}")
    with pytest.raises(InputError, match="not the index of a drawn city; delete the folder first"):
        draw_folder(SMALL, tmp_path)
