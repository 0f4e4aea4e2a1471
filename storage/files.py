"""How bytes are put, found and taken away: the one place that knows that the store lies on a local disk.

A file is put whole or not at all, and is on the disk when `put_bytes` returns.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

_READ_BYTES = 1 << 20


def put_bytes(path: Path, content: bytes) -> None:
    """Make `path` hold `content`; a crash at any moment leaves the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}.part"
    try:
        with open(partial, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
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


def sha256_file(path: Path, *, fsync: bool = False) -> str:
    """Hex digest of a file's bytes; with `fsync`, they are on the disk afterwards."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
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
    target.mkdir(parents=True, exist_ok=True)
    os.replace(source, target / source.name)
    fsync_dir(target)
    fsync_dir(source.parent)


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
