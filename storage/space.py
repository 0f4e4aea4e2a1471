"""A disk without room: said in one line, with what to do, in place of an errno from somewhere below."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import DiskFull

# no room on the disk, or no more of it for this user
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def telling_when_full(path: Path) -> Iterator[None]:
    """Raise DiskFull in place of the system's error while something is put at `path`, or below it."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFull(full_message(error.filename or path, error)) from error


def full_message(path: Path | str | None, error: OSError) -> str:
    """What could not be put where, how much room there is, and what to do."""
    place = Path(path or ".")
    what = "the user's quota is used up" if error.errno == errno.EDQUOT else "the disk is full"
    return (
        f"{path or 'a file'}: cannot be written, {what}{_room(place)}. What is made so far stays: make room "
        "(`segspade artifacts du` tells what takes it, `segspade artifacts gc` what can go), and run it again"
    )


def _room(place: Path) -> str:
    """Of the disk that holds `place`, or will."""
    for folder in (place, *place.absolute().parents):
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        return f" ({_megabytes(usage.free)} of {_megabytes(usage.total)} are free)"
    return ""


def _megabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.1f} MB"
