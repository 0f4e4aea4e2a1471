"""A source of files: a folder, official zip files read in place, or both at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segspade_core.datasets.archive import Archive
from segspade_core.datasets.files import MAX_FILE_BYTES, BadFile, SampleFiles
from segspade_core.errors import InputError, Problem

__all__ = ["BadFile", "SampleFiles", "Source", "open_source"]

MINICITY_INDEX = "minicity.json"  # at the root of a drawn city: its config, and the time of day of each frame
# only what an ingest may read is part of a source: a note beside the images must not make a new dataset
_SUFFIXES = (".png", ".jpg", ".jpeg")
_UNPACKED = "the unpacked files"


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
            for file in sorted(place.glob("*.zip")):
                self._add_archive(file)
        else:
            self._add_archive(place)

    def members(self) -> dict[str, tuple[int, int]]:
        """Relative path → (bytes, stamp) of every image, sorted.

        The stamp of a file is its modification time in ns. That of an archive's member is its CRC-32: it says
        more than the member's time, and stays the same when the archive is copied.
        """
        return {path: (member.size, member.stamp) for path, member in sorted(self._members.items())}

    def read(self, path: str) -> bytes:
        """All bytes of one member.

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
            return member.archive.read(path)
        try:
            return (self.place / path).read_bytes()
        except FileNotFoundError as error:
            raise BadFile("was there a moment ago and is gone", "Put it back and run again") from error
        except PermissionError as error:
            raise BadFile("may not be read", "Give yourself the right to read it") from error

    def _add_folder(self) -> None:
        for path, file in self._walk(self.place, ""):
            status = file.stat()
            self._members[path] = _Member(status.st_size, status.st_mtime_ns, None)

    def _walk(self, folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if _is_junk(entry.name):
                    continue
                if (fault := self._fault_of(entry, path)) is not None:
                    self.problems.append(fault)
                elif entry.is_dir():
                    yield from self._walk(folder / entry.name, path + "/")
                elif _is_wanted(path):
                    yield path, entry

    def _fault_of(self, entry: os.DirEntry[str], path: str) -> Problem | None:
        readable = path.encode("utf-8", "backslashreplace").decode()
        if readable != path:
            return Problem(readable, "has a name that is not Unicode", "Rename it")
        if not entry.is_symlink():
            return None
        if entry.is_dir():
            # never followed, even within the source: links to folders can go in circles
            return Problem(path, "is a symbolic link to a folder", "Put the folder itself there")
        return self._fault_of_link(path) if _is_wanted(path) else None

    def _fault_of_link(self, path: str) -> Problem | None:
        target = (self.place / path).resolve()
        if not target.is_relative_to(self.place.resolve()):
            return Problem(path, "is a symbolic link that leaves the source", "Put the file itself there")
        if not target.is_file():
            return Problem(path, "is a symbolic link to nothing", "Put the file itself there")
        return None

    def _add_archive(self, file: Path) -> None:
        if file != self.place and file.is_symlink() and (fault := self._fault_of_link(file.name)) is not None:
            self.problems.append(fault)
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
            if not _is_wanted(path):
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
    if not place.is_dir() and not source.archives:
        raise InputError(
            f"{place}: {source.problems[0].what}. Give a dataset's folder, or a zip file that is whole."
        )
    return source


def _is_junk(name: str) -> bool:
    # what macOS leaves behind beside the real files, and hidden folders such as .git
    return name.startswith(".") or name == "__MACOSX"


def _is_wanted(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return not any(map(_is_junk, path.split("/"))) and (
        name.lower().endswith(_SUFFIXES) or name == MINICITY_INDEX
    )
