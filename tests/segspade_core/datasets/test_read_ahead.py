"""Files that are read before they are asked for are the files that are asked for."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from segspade_core.datasets.files import BadFile
from segspade_core.datasets.read_ahead import ReadAhead
from segspade_core.datasets.source import open_source


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    found = [f"{number:02}.png" for number in range(12)]
    for name in found:
        (tmp_path / name).write_bytes(name.encode())
    return found


def test_each_file_is_what_the_source_says(tmp_path: Path, names: list[str]) -> None:
    """Fault: contents in the order of reading, taken for those asked for; a file left out shifts the rest."""
    source = open_source(tmp_path)
    with ReadAhead(source, names) as ahead:
        for name in (names[0], names[2], names[5], names[1], names[11], names[6], names[7]):
            assert ahead.read(name) == name.encode()
        assert ahead.read(names[8], 3) == b"08."


def test_no_more_is_read_than_the_next_sample(
    tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a shard of frames in memory, packed and unpacked, where one is enough."""
    source = open_source(tmp_path)
    read: list[str] = []
    before = source.read

    def noted(path: str, first: int | None = None) -> bytes:
        read.append(path)
        return before(path, first)

    monkeypatch.setattr(source, "read", noted)
    with ReadAhead(source, names) as ahead:
        for count, name in enumerate(names):
            ahead.read(name)
            assert len(read) <= count + 4
    assert sorted(read) == names


def test_what_is_wrong_with_a_file_is_told_when_it_is_asked_for(tmp_path: Path, names: list[str]) -> None:
    """Fault: another file is blamed, or those after it are lost."""
    source = open_source(tmp_path)
    (tmp_path / names[1]).unlink()
    with ReadAhead(source, names) as ahead:
        assert ahead.read(names[0]) == names[0].encode()
        with pytest.raises(BadFile, match="is gone"):
            ahead.read(names[1])
        assert ahead.read(names[2]) == names[2].encode()


def test_its_thread_ends_with_it(tmp_path: Path, names: list[str]) -> None:
    """Fault: a thread a shard is left behind, of which a dataset has thousands."""
    with contextlib.suppress(KeyError), ReadAhead(open_source(tmp_path), names) as ahead:
        ahead.read(names[0])
        raise KeyError
    # `ahead` is still held: it is not the garbage collector that ended it
    assert [each.name for each in threading.enumerate() if each.name.startswith("read ahead")] == []
    assert ahead.place == tmp_path
