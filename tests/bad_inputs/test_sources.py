"""Every broken source is refused in the words of the table, and nothing is left of it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from handmade import run_parts_here

from bad_inputs import archives, disks, label_maps, names, photographs
from bad_inputs.corpus import Case, build, config_of, left_behind, make, what_lies_in
from segspade_core.errors import InputError

CASES: tuple[Case, ...] = (
    *photographs.CASES,
    *label_maps.CASES,
    *names.CASES,
    *disks.CASES,
    *archives.CASES,
)
RUNS = [
    pytest.param(case, layout, way, id=f"{case.name}-{layout}-{way}".replace(" ", "_"))
    for case in CASES
    for layout in case.layouts
    for way in case.ways
]


@pytest.fixture(autouse=True)
def plain_ingest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Prefect and no waiting for the disk; temporary files would lie where they can be seen."""
    monkeypatch.setattr("tasks.ingesting.map_parts", run_parts_here)
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def may_not_be_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For those, too, who may read everything."""
    real = os.open

    def refuse(path: Any, *options: Any, **named: Any) -> int:
        if Path(path) == file:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *options, **named)

    monkeypatch.setattr(os, "open", refuse)


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
