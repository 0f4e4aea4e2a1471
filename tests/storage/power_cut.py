"""What may be on a disk after a power cut, worked out from the calls that a program made.

POSIX promises little: what was written to a file is there after an fsync of the file, a name is there after
an fsync of the folder that it is in, and a rename happens wholly or not at all. All else may be kept or lost,
each change for itself: of a file that was not synced, nothing, a half, all, or zeros of its length.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from disk_calls import Call

# path relative to the root → content of a file, None for a folder
State = dict[str, bytes | None]


@dataclass
class Recorder:
    """A watcher that keeps every call."""

    calls: list[Call] = field(default_factory=list)

    def before(self, call: Call, begin: Callable[[int], None] | None) -> None:
        pass

    def after(self, call: Call) -> None:
        self.calls.append(call)


@dataclass
class _Node:
    """A file (names is None) or a folder: as the program sees it, and as the disk surely holds it."""

    names: dict[str, _Node] | None = None
    content: bytes = b""
    kept: bytes = b""
    kept_names: dict[str, _Node] = field(default_factory=dict)
    # name → number of the change that the disk holds of it: an older one must not come after
    kept_changes: dict[str, int] = field(default_factory=dict)


_Change = list[tuple[_Node, str, "_Node | None"]]


class Disk:
    """Follows the calls made below a root, which is there and empty at first."""

    def __init__(self, root: os.PathLike[str] | str) -> None:
        self._root = os.path.realpath(root)
        self._top = _Node(names={})
        self._pending: dict[int, _Change] = {}
        self._number = 0

    def make(self, call: Call) -> None:
        """Follow one call."""
        if call.what == "fsync":
            self._sync(self._find(call.path))
        elif call.what in ("write", "cut"):
            node, at = self._find(call.path), call.at
            whole = node.content.ljust(at, b"\0")
            node.content = (
                whole[:at] + call.data + (whole[at + len(call.data) :] if call.what == "write" else b"")
            )
        elif call.what in ("create", "truncate"):
            folder, name = self._place(call.path)
            if name not in folder.names:
                self._change([(folder, name, _Node())])
            elif call.what == "truncate":
                folder.names[name].content = b""
        elif call.what == "mkdir":
            self._change([(*self._place(call.path), _Node(names={}))])
        elif call.what in ("unlink", "rmdir"):
            self._change([(*self._place(call.path), None)])
        elif call.what in ("rename", "link"):
            there = (*self._place(call.to), self._find(call.path))
            self._change([(*self._place(call.path), None), there] if call.what == "rename" else [there])
        else:
            raise ValueError(call.what)

    def states(self, choose: random.Random) -> Iterator[State]:
        """What the disk may hold now: everything, nothing more than was synced, and much between.

        Each change that was not synced is lost alone, and kept alone; and some are drawn at random.
        """
        numbers = list(self._pending)
        subsets = [numbers, []]
        subsets += [[number for number in numbers if number != lost] for lost in numbers]
        subsets += [[number] for number in numbers]
        subsets += [[number for number in numbers if choose.random() < 0.5] for _ in range(4)]
        for subset in subsets:
            for lose in (lambda node: node.content, *_LOSSES):
                yield self._state(set(subset), lose)

    def _state(self, chosen: set[int], lose: Callable[[_Node], bytes]) -> State:
        found: State = {}

        def walk(folder: _Node, path: str) -> None:
            names = dict(folder.kept_names)
            for number, change in self._pending.items():
                for at, name, node in change:
                    if at is folder and number in chosen and number > folder.kept_changes.get(name, -1):
                        names.pop(name, None)
                        if node is not None:
                            names[name] = node
            for name, node in names.items():
                if node.names is None:
                    found[path + name] = node.kept if node.kept == node.content else lose(node)
                else:
                    found[path + name] = None
                    walk(node, f"{path}{name}/")

        walk(self._top, "")
        return found

    def _change(self, change: _Change) -> None:
        for folder, name, node in change:
            assert folder.names is not None
            folder.names.pop(name, None)
            if node is not None:
                folder.names[name] = node
        self._pending[self._number] = change
        self._number += 1

    def _sync(self, node: _Node) -> None:
        if node.names is None:
            node.kept = node.content
            return
        for number, change in list(self._pending.items()):
            if any(folder is node for folder, _, _ in change):
                for folder, name, now in self._pending.pop(number):
                    if number > folder.kept_changes.get(name, -1):
                        folder.kept_changes[name] = number
                        folder.kept_names.pop(name, None)
                        if now is not None:
                            folder.kept_names[name] = now

    def _find(self, path: str) -> _Node:
        node = self._top
        for part in Path(path).relative_to(self._root).parts:
            assert node.names is not None
            node = node.names[part]
        return node

    def _place(self, path: str) -> tuple[_Node, str]:
        head, name = os.path.split(path)
        return self._find(head), name


# of a file that was not synced
_LOSSES: tuple[Callable[[_Node], bytes], ...] = (
    lambda node: node.kept,
    lambda node: node.content[: len(node.content) // 2],
    lambda node: bytes(len(node.content)),
)


def states_after(calls: Sequence[Call], root: Path, seed: int = 0) -> Iterator[tuple[int, State]]:
    """(how many calls were made, what the disk may hold then) for a power cut after every call and before."""
    disk, choose = Disk(root), random.Random(seed)
    yield from ((0, state) for state in disk.states(choose))
    for made, call in enumerate(calls, 1):
        disk.make(call)
        yield from ((made, state) for state in disk.states(choose))


def put_state(state: State, root: Path) -> None:
    """Make an empty folder hold what the disk may hold."""
    for path, content in state.items():
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)
