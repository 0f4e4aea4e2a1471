"""A source of files: a folder, official zip files read in place, or both at once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from segspade_core.datasets.archive import Archive
from segspade_core.datasets.files import (
    MAX_FILE_BYTES,
    MINICITY_INDEX,
    BadFile,
    SampleFiles,
    fault_of_name,
    is_junk,
    is_wanted,
    shown,
)
from segspade_core.errors import InputError, Problem

__all__ = ["MINICITY_INDEX", "BadFile", "SampleFiles", "Source", "open_source"]

_UNPACKED = "the unpacked files"
_NOT_ORDINARY = "is not an ordinary file"


@dataclass(frozen=True)
class _Member:
    size: int  # bytes, unpacked
    stamp: int
    archive: Archive | None


class Source:
    """The images under a place, by relative path. Threads may read at once.

    A path is the same whether the file lies in a folder or in an archive, so that both give equal samples.
    """

    def __init__(self, place: Path) -> None:
        """Take stock of `place`; no image is read. `open_source` is the way to make one."""
        self.place = place
        self.problems: list[Problem] = []  # files that are no part of the source, and why
        self.archives: list[Archive] = []
        self._members: dict[str, _Member] = {}
        if place.is_dir():
            self._add_folder()
            for file in sorted(place.iterdir()):
                if file.suffix.lower() == ".zip" and not is_junk(file.name) and not file.is_dir():
                    self._add_archive(file)
        else:
            self._add_archive(place)

    def members(self) -> dict[str, tuple[int, int]]:
        """Relative path → (bytes, stamp) of every image, sorted.

        The stamp of a file is its modification time in ns. That of an archive's member is its CRC-32: it says
        more than the member's time, and stays the same when the archive is copied.
        """
        return {path: (member.size, member.stamp) for path, member in sorted(self._members.items())}

    def looks(self, paths: Iterable[str]) -> dict[str, tuple[int, int]]:
        """As `members`, of those of the paths that are members."""
        found = {path: self._members[path] for path in paths if path in self._members}
        return {path: (member.size, member.stamp) for path, member in found.items()}

    def read(self, path: str, first: int | None = None) -> bytes:
        """All bytes of one member, or its first so many, which are not checked against an archive's CRC-32.

        Raises:
            BadFile: it cannot be read, or is larger than any image we take.
            OSError: the disk failed; another try may help.
        """
        member = self._members.get(path)
        if member is None:
            raise BadFile("is not in the source", "Run again, so that the source is looked through anew")
        if member.size > MAX_FILE_BYTES:
            what = f"has {member.size} bytes, more than the {MAX_FILE_BYTES} allowed for one image"
            raise BadFile(what, "See whether it is an image at all; if so, make it smaller")
        if member.archive is not None:
            return member.archive.read(path, first)
        try:
            return _read_file(self.place / path, first)
        except FileNotFoundError as error:
            raise BadFile("was there a moment ago and is gone", "Put it back and run again") from error
        except PermissionError as error:
            raise BadFile("may not be read", "Give yourself the right to read it") from error

    def _add_folder(self) -> None:
        todo = [""]
        while todo:
            prefix = todo.pop()
            for entry in self._entries(prefix):
                path = prefix + entry.name
                if (fault := self._fault_of(entry, path)) is not None:
                    self.problems.append(fault)
                elif entry.is_dir(follow_symlinks=False):
                    todo.append(path + "/")
                elif is_wanted(path):
                    status = entry.stat()
                    self._members[path] = _Member(status.st_size, status.st_mtime_ns, None)

    def _entries(self, prefix: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self.place / prefix) as entries:
                yield from (entry for entry in entries if not is_junk(entry.name))
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            what = "lies in more folders than the system can look through"
            self.problems.append(Problem(shown(prefix), what, "Move it up, or out of the source"))

    def _fault_of(self, entry: os.DirEntry[str], path: str) -> Problem | None:
        """What is wrong with a folder, or with a file that would be a part of the source."""
        if entry.is_symlink():
            return self._fault_of_link(path, is_wanted(path))
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder and not is_wanted(path):
            return None
        if (fault := fault_of_name(entry.name)) is not None:
            return Problem(shown(path), fault, "Rename it")
        if not is_folder and not entry.is_file(follow_symlinks=False):
            # to read a pipe would wait for ever
            return Problem(path, _NOT_ORDINARY, "Put a file with the image there, or delete it")
        return None

    def _fault_of_link(self, path: str, is_part: bool) -> Problem | None:
        """What is wrong with a link to a folder, or with one to a file that would be a part of the source."""
        try:
            target = (self.place / path).resolve(strict=True)
        except (OSError, RuntimeError):  # it leads nowhere, or in a circle
            what = "is a symbolic link to nothing"
        else:
            if target.is_dir():
                # never followed, even within the source: links to folders can go in circles
                return Problem(shown(path), "is a symbolic link to a folder", "Put the folder itself there")
            if fault_of_name(path) is not None:
                what = str(fault_of_name(path))
            elif not target.is_relative_to(self.place.resolve()):
                what = "is a symbolic link that leaves the source"
            elif not target.is_file():
                what = _NOT_ORDINARY
            else:
                return None
        return Problem(shown(path), what, "Put the file itself there") if is_part else None

    def _add_archive(self, file: Path) -> None:
        if file != self.place and file.is_symlink():
            if (fault := self._fault_of_link(file.name, is_part=True)) is not None:
                self.problems.append(fault)
                return
        elif not file.is_file():
            self.problems.append(Problem(file.name, _NOT_ORDINARY, "Give a folder or a zip file"))
            return
        try:
            archive = Archive(file)
        except BadFile as error:
            self.problems.append(error.of(file.name))
            return
        self.archives.append(archive)
        self.problems += archive.problems
        twice: dict[str, list[str]] = {}
        for path, info in archive.members.items():
            if not is_wanted(path):
                continue
            if (other := self._members.get(path)) is not None:
                twice.setdefault(other.archive.name if other.archive else _UNPACKED, []).append(path)
            else:
                self._members[path] = _Member(info.file_size, info.CRC, archive)
        # one line for two whole copies of a dataset, not one for each of thousands of files
        for origin, paths in twice.items():
            what = f"holds {len(paths)} files that are in {origin} too, such as {min(paths)}"
            self.problems.append(
                Problem(
                    file.name, what, "Move one of the two away; while both are there, the latter are used"
                )
            )

    def __str__(self) -> str:
        """What was looked through, for messages."""
        names = ", ".join(archive.name for archive in self.archives)
        return f"{self.place} (with {names})" if names and self.place.is_dir() else str(self.place)


def open_source(place: Path) -> Source:
    """Take stock of a folder, of the zip files in it, or of one zip file.

    Args:
        place: a folder with images below it, with zip files directly in it, or with both; or a zip file.

    Returns:
        The source. What is wrong with single files is in its `problems`.

    Raises:
        InputError: there is no such path, it is neither folder nor whole zip file, or may not be read.
    """
    if not place.exists():
        raise InputError(f"{place}: there is no such file or folder. Give the dataset's folder or zip file.")
    try:
        source = Source(place)
    except PermissionError as error:
        raise InputError(f"{error.filename}: may not be read. Give yourself the right to read it.") from error
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: was there a moment ago and is gone. Run again.") from error
    if not place.is_dir() and not source.archives:
        raise InputError(
            f"{place}: {source.problems[0].what}. Give a dataset's folder, or a zip file that is whole."
        )
    return source


def _read_file(file: Path, first: int | None) -> bytes:
    """All bytes of an ordinary file, up to the limit, or its first so many: it may have changed since."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadFile(_NOT_ORDINARY, "Put a file with the image there, or delete it")
        return opened.read(MAX_FILE_BYTES if first is None else first)
