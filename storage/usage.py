"""What takes room in a workspace: bytes of every artifact and of what is being made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.files import files_under
from storage.refs import KINDS

if TYPE_CHECKING:
    from storage.store import Store

# device and number of a file: files that are hard links to each other have these in common
_Inode = tuple[int, int]


@dataclass(frozen=True)
class Use:
    """What one folder takes; `shared` of its bytes are hard links that another folder holds as well."""

    group: str  # the kind of a committed artifact; 'staging' of what is being made
    label: str
    bytes: int
    shared: int


@dataclass(frozen=True)
class Usage:
    """What a workspace takes; `bytes`, and the `sums` of each group, count what is shared once."""

    folders: list[Use]
    bytes: int
    sums: dict[str, int]

    @property
    def shared(self) -> int:
        """What hard links save: the bytes of all folders, less those on the disk."""
        return sum(use.bytes for use in self.folders) - self.bytes

    def groups(self) -> dict[str, list[Use]]:
        """The folders of each kind that has any, in the order of the journey, and of staging."""
        found: dict[str, list[Use]] = {}
        for use in self.folders:
            found.setdefault(use.group, []).append(use)
        return found


def usage(store: Store, kind: str | None = None) -> Usage:
    """Look at the size of every file. What a deletion that was cut short left counts to its kind.

    Args:
        store: the artifacts.
        kind: only these; None: all, and what is being made.
    """
    held = {
        (group, label): dict(_files(store, folder))
        for group, label, folder in _folders(store)
        if kind in (None, group)
    }
    holders = Counter(inode for files in held.values() for inode in files)
    uses = [
        Use(group, label, sum(files.values()), sum(files[inode] for inode in files if holders[inode] > 1))
        for (group, label), files in held.items()
    ]
    groups: dict[str, dict[_Inode, int]] = {}
    for (group, _), files in held.items():
        groups.setdefault(group, {}).update(files)
    sizes = {inode: size for files in groups.values() for inode, size in files.items()}
    return Usage(uses, sum(sizes.values()), {name: sum(files.values()) for name, files in groups.items()})


def _folders(store: Store) -> Iterator[tuple[str, str, Path]]:
    for kind in KINDS:
        for folder in _there(store, store.folders_in(store.root / "artifacts" / kind)):
            yield kind, folder.name, folder
    for kind in KINDS:
        for folder in _there(store, store.folders_in(store.root / "staging" / kind)):
            yield "staging", f"{kind}/{folder.name}", folder


def _there(store: Store, folders: Iterable[Path]) -> Iterator[Path]:
    """Those that hold anything: some servers list folders that are empty by now."""
    return (folder for folder in folders if store.mirror is None or store.has(folder))


def _files(store: Store, folder: Path) -> Iterator[tuple[_Inode, int]]:
    if store.mirror is not None:  # a bucket has no links
        yield from (((-1, hash(entry.name)), entry.bytes) for entry in store.mirror.entries(folder))
        return
    for path in files_under(folder):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue  # it was moved or deleted meanwhile
        yield (found.st_dev, found.st_ino), found.st_size
