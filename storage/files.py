"""How bytes are put, found and taken away: the one place that knows that the store lies on a local disk.

A file is put whole or not at all, and is on the disk when `put_bytes` returns.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.mirror import Mirror

from storage.space import telling_when_full

_READ_BYTES = 1 << 20
_GONE = ".gone"
_making_folders = threading.Lock()


def put_bytes(path: Path, content: bytes) -> str | None:
    """Make `path` hold `content`; a crash at any moment leaves the old file or the new one, never a part.

    What is put into a staging folder of a mirror is put into the bucket too, and there first: so the bucket
    has whatever the mirror has.

    Returns:
        The etag of the object that holds it too; None on a disk.

    Raises:
        DiskFull: there is no room; nothing of `content` is left.
    """
    mirror = _mirror_of(path)
    etag = None if mirror is None else mirror.share(path, content)
    put_local(path, content)
    return etag


def put_local(path: Path, content: bytes) -> None:
    """As `put_bytes`, on this disk alone."""
    with telling_when_full(path):
        _put(path, content)


def _put(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    partial = path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}.part"
    try:
        with open(partial, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # of a write, the system does not say where
        raise
    fsync_dir(path.parent)


def _mirror_of(path: Path) -> Mirror | None:
    """The mirror that a file of a staging folder lies in."""
    if "staging" not in path.parts:
        return None
    from storage.mirror import mirror_of  # here: it puts files itself

    return mirror_of(path)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing; all their names are on the disk afterwards.

    Also where another thread is just making one of them: what is put into a folder must not be kept while the
    folder itself is lost.
    """
    with _making_folders:
        missing = list(takewhile(lambda folder: not folder.is_dir(), (path, *path.parents)))
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            fsync_dir(folder.parent)


def sync(files: Iterable[Path], root: Path) -> None:
    """Bring files that `put_bytes` did not put to the disk, with the names of the folders up to `root`; and
    those of a mirror into the bucket."""
    folders: dict[Path, None] = {}
    for path in files:
        if (mirror := _mirror_of(path)) is not None:
            mirror.share(path, path.read_bytes())
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folders |= dict.fromkeys(folder for folder in path.parents if folder.is_relative_to(root))
    for folder in folders:
        fsync_dir(folder)


def sync_folders(root: Path) -> None:
    """Bring the names of all that is below a folder to the disk, and its own."""
    for parent, _, _ in os.walk(root):
        fsync_dir(Path(parent))
    fsync_dir(root.parent)


def put_link(source: Path, path: Path) -> str | None:
    """Make `path` hold what `source` holds, which must never change: another name of it, or else a copy.

    In a mirror, the bucket copies what it has, and `source` need not have been fetched.

    Returns:
        The etag of the object; None on a disk.
    """
    mirror = _mirror_of(path)
    etag = None if mirror is None else mirror.share_copy(source, path)
    try:
        if mirror is None or source.exists():
            _link_local(source, path)
    except FileNotFoundError:
        if mirror is None or source.exists():
            raise  # else: it went to make room, and is fetched when it is read
    return etag


def _link_local(source: Path, path: Path) -> None:
    make_folder(path.parent)
    partial = path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}.part"
    try:
        os.link(source, partial)
        os.replace(partial, path)
    except OSError:
        # another disk, or one that has no links
        partial.unlink(missing_ok=True)
        put_local(path, source.read_bytes())
        return
    # two names of one file: replacing one by the other is nothing to do, and leaves both
    partial.unlink(missing_ok=True)
    fsync_dir(path.parent)


def is_partial(path: Path) -> bool:
    """Whether this is what a killed `put_bytes` left behind."""
    return path.name.startswith(".") and path.name.endswith(".part")


def fsync_dir(folder: Path) -> None:
    """Bring the names in a folder to the disk: fsync of a file alone does not keep its name."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(
    path: Path, *, fsync: bool = False, from_disk: bool = False, on_bytes: Callable[[int], None] | None = None
) -> str:
    """Hex digest of a file's bytes, in a block of memory.

    Args:
        path: the file.
        fsync: they are on the disk afterwards.
        from_disk: do not take them from the system's memory, where they may still be right.
        on_bytes: told of every block how long it is.
    """
    digest = hashlib.sha256()
    block = memoryview(bytearray(_READ_BYTES))
    with open(path, "rb", buffering=0) as file:
        if from_disk and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while count := file.readinto(block):
            digest.update(block[:count])
            if on_bytes is not None:
                on_bytes(count)
        if fsync:
            os.fsync(file.fileno())
    return digest.hexdigest()


def files_under(folder: Path) -> Iterator[Path]:
    """Every file below a folder, sorted by path; nothing when there is no such folder."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(parent, name)


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in a folder, sorted; none when there is no such folder."""
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir())
    except FileNotFoundError:
        return []


def bytes_under(folder: Path) -> int:
    """What the files below a folder take."""
    return sum(path.stat().st_size for path in files_under(folder))


def move_into(source: Path, target: Path) -> None:
    """Rename a file or folder into the folder `target`, and bring both folders' names to the disk."""
    with telling_when_full(target / source.name):
        make_folder(target)
        os.replace(source, target / source.name)
        fsync_dir(target)
        fsync_dir(source.parent)


def discard(folder: Path) -> None:
    """Delete a folder, gone at once: a crash leaves it whole, or under a name that means nothing."""
    gone = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}{_GONE}")
    os.replace(folder, gone)
    fsync_dir(folder.parent)
    remove(gone)


def discarded_name(path: Path) -> str | None:
    """What was the name of a folder that a killed `discard` left behind; None: it is none."""
    name = path.name
    return name[1:].split(".")[0] if name.startswith(".") and name.endswith(_GONE) else None


def remove_if_empty(folder: Path) -> None:
    """Take a folder away that holds no file, only folders at most; being gone already is as good."""
    if not any(files_under(folder)):
        shutil.rmtree(folder, ignore_errors=True)


def remove(path: Path) -> None:
    """Take a file or a folder away; being gone already is as good."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=False)
    else:
        path.unlink(missing_ok=True)
