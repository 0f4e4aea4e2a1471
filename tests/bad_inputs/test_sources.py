"""Every broken source is refused in the words of the table, and nothing is left of it."""

from __future__ import annotations

import errno
import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from bad_inputs.corpus import Case, build, config_of, left_behind, make, what_lies_in
from bad_inputs.encoders import patched_member, zip_of
from bad_inputs.good import good
from bad_inputs.sources import CASES
from segspade_core.datasets.files import BadFile
from segspade_core.datasets.pixels import decode_photograph
from segspade_core.datasets.source import open_source
from segspade_core.errors import InputError, Problem, SourceError

RUNS = [
    pytest.param(case, layout, way, id=f"{case.name}-{layout}-{way}".replace(" ", "_"))
    for case in CASES
    for layout in case.layouts
    for way in case.ways
]


def may_not_be_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For those, too, who may read everything."""
    real = os.open

    def refuse(path: Any, *options: Any, **named: Any) -> int:
        if Path(path) == file:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *options, **named)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.usefixtures("plain_ingest")
@pytest.mark.parametrize(("case", "layout", "way"), RUNS)
def test_it_is_refused_in_these_words(
    case: Case, layout: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: another message, an exception that is none of ours, a shard or a folder that stays."""
    (tmp_path / "given").mkdir()
    place, city = build(case, layout, way, tmp_path / "given")
    if case.unreadable:
        may_not_be_read(place / city.photo, monkeypatch)
    before = what_lies_in(tmp_path)
    with pytest.raises(InputError) as caught:
        make(tmp_path / "workspace", place, config_of(**{"layout": layout, **case.settings}))
    assert str(caught.value) == case.told(place, city)
    assert left_behind(tmp_path / "workspace") == []
    after = what_lies_in(tmp_path)
    assert {path: after[path] for path in before if path != str(tmp_path)} == before
    assert all(path.startswith(str(tmp_path / "workspace")) for path in after.keys() - before.keys())
    shutil.rmtree(tmp_path / "given")  # pytest stumbles over what lies too deep


@pytest.mark.parametrize(
    "name", ["header of 30000x30000", "JPEG header of 65500x65500", "JPEG of a thousand passes"]
)
def test_a_bomb_is_refused_before_it_is_unpacked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: the header alone makes a decoder ask for gigabytes, or work for hours."""
    city = good("cityscapes")
    next(case for case in CASES if case.name == name).change(city)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load_prepare", lambda _: pytest.fail("it was unpacked"))
    with pytest.raises(BadFile, match="a bomb"):
        decode_photograph(city.files[city.photo])


def test_a_zip_that_lies_about_a_size_takes_no_more_than_it_said(tmp_path: Path) -> None:
    """Fault: 64 MB are unpacked, and then cut to the 100 bytes that the directory speaks of."""
    place = tmp_path / "source.zip"
    place.write_bytes(patched_member(zip_of({"a_1.png": bytes(64 << 20)}), "a_1.png", size=100))
    tracemalloc.start()
    try:
        with pytest.raises(BadFile, match="is damaged"):
            open_source(place).read("a_1.png")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_thousands_of_problems_do_not_fill_the_screen() -> None:
    """Fault: what matters is gone from the screen; or what is not shown is lost to a program."""
    problems = [Problem(f"{at:05}.png", "is empty", "Delete it") for at in range(2345)]
    error = SourceError("city", problems)
    assert str(error).splitlines()[0] == "city: 2345 problems, nothing was written"
    assert str(error).splitlines()[50:] == ["  00049.png: is empty. Delete it", "  and 2,295 more"]
    assert error.problems == problems
