"""The members of a zip file, read in place. Nothing is unpacked, and no member may leave the archive."""

from __future__ import annotations

import errno
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from segspade_core.datasets.files import BadFile, fault_of_name, is_wanted
from segspade_core.errors import Problem

_REMEDY = "An official archive has no such member: download it again from where you trust it"
_SHOWN = 80  # letters of a name that is refused
_MAX_NAME_BYTES = 255  # of a file or folder, on every file system
# what zipfile raises for bytes that are not as they should be; offsets from nowhere become errors of the disk
_NOT_WHOLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


class Archive:
    """An open zip file. Threads may read at once: ZipFile locks the file it shares."""

    def __init__(self, file: Path) -> None:
        """Read the directory of a zip file.

        Raises:
            BadFile: it is not a whole zip file, or may not be read.
        """
        self.name = file.name
        self.problems: list[Problem] = []
        try:
            self._zip = zipfile.ZipFile(file)
        except PermissionError as error:
            raise BadFile("may not be read", "Give yourself the right to read it") from error
        except _NOT_WHOLE as error:
            raise BadFile("is not a whole zip file", "Download it again") from error
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise BadFile("is not a whole zip file", "Download it again") from error
        # the directory counts from where the file would begin if nothing of it were missing
        if any(info.header_offset < 0 for info in self._zip.infolist()):
            raise BadFile("is not a whole zip file", "Download it again")
        self.members = self._check_members()

    def _check_members(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        for path, info in self._safe_members():
            if path in members:
                what = f"is in {self.name} more than once"
                self.problems.append(Problem(path, what, "Make the archive anew with one file of that name"))
            members[path] = info
            if is_wanted(path):
                # told now: what is in the archive has the same checksums as what was packed otherwise, and a
                # check of that one may be remembered
                try:
                    self._check_packing(info)
                except BadFile as error:
                    self.problems.append(error.of(path))
        return members

    def _safe_members(self) -> Iterator[tuple[str, zipfile.ZipInfo]]:
        for info in self._zip.infolist():
            # as the archive spells it: zipfile has cut `filename` at a NUL and turned backslashes on Windows
            name = info.orig_filename
            if (fault := _fault_of(name, info)) is not None:
                self.problems.append(Problem(f"{self.name}:{_shown(name)}", fault, _REMEDY))
            elif not info.is_dir():
                yield "/".join(part for part in name.split("/") if part not in ("", ".")), info

    def read(self, path: str, first: int | None = None) -> bytes:
        """All bytes of a member, checked against the archive's CRC-32; or its first so many, unchecked.

        Raises:
            BadFile: it is damaged, encrypted, or packed in a way that no official archive is.
            OSError: the disk failed; another try may help.
        """
        info = self.members[path]
        self._check_packing(info)
        try:
            with self._zip.open(info) as member:
                # never more than the directory says: zipfile's own `read` would unpack 2 GB and then cut
                return member.read(info.file_size if first is None else min(first, info.file_size))
        except _NOT_WHOLE as error:
            raise self._damaged() from error
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise self._damaged() from error

    def _check_packing(self, info: zipfile.ZipInfo) -> None:
        if info.flag_bits & 0x1:
            raise BadFile(f"is encrypted in {self.name}", "Unpack the archive with its password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadFile(
                f"is packed in {self.name} by method {info.compress_type}",
                "Make the archive anew with deflate",
            )

    def _damaged(self) -> BadFile:
        return BadFile(f"is damaged in {self.name}", f"Download {self.name} again")


def _shown(name: str) -> str:
    text = ascii(name)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…'"


def _fault_of(name: str, info: zipfile.ZipInfo) -> str | None:
    if "\0" in name:
        return "has a name with a NUL in it"
    if is_wanted(name) and (fault := fault_of_name(name)) is not None:
        return fault
    if any(len(part.encode("utf-8", "replace")) > _MAX_NAME_BYTES for part in name.split("/")):
        return f"has a name of more than {_MAX_NAME_BYTES} bytes, which no file system takes"
    if "\\" in name:
        return "has a backslash in its path, which some systems take for a folder"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path, which leaves the archive"
    if ".." in name.split("/"):
        return "has a path that leaves the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a symbolic link"
    return None
