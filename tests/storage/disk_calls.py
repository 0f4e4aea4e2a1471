"""The calls by which a program changes a disk, each told to a watcher before and after it is made.

    with watched(watcher, root):
        ...

A call below `root` that gets past the watcher (one that is not wrapped here, but that Python itself tells its
auditors of) is an error: nothing may be left out of what a test counts.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Call:
    """One call; `to` of a rename or link, `data` of a write, `at` its offset or the length to cut to."""

    what: str
    path: str
    to: str = ""
    data: bytes = b""
    at: int = 0


class Watcher(Protocol):
    """Told of every call, by one thread at a time."""

    def before(self, call: Call, begin: Callable[[int], None] | None) -> None:
        """About to be made; `begin(n)` makes the first n bytes of a write. May raise, or never return."""

    def after(self, call: Call) -> None:
        """Was made."""


_WRAPPED = (
    *("open", "fsync", "write", "pwrite", "ftruncate", "replace", "rename", "unlink", "remove"),
    *("mkdir", "rmdir", "link"),
)
_real: dict[str, Any] = {name: getattr(os, name) for name in _WRAPPED}
_real_open = io.open
_AUDITED = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
_state = threading.local()
_order = threading.RLock()
_watch: tuple[Watcher, str] | None = None


@contextmanager
def watched(watcher: Watcher, root: os.PathLike[str] | str) -> Iterator[None]:
    """Tell `watcher` of what is done below `root`."""
    global _watch
    _install_auditor()
    wrapped = {
        "open": _open, "fsync": _fsync, "write": _write, "pwrite": _pwrite, "ftruncate": _ftruncate,
        "replace": _moving("replace"), "rename": _moving("rename"), "link": _moving("link"),
        "unlink": _naming("unlink"), "remove": _naming("unlink"), "mkdir": _naming("mkdir"),
        "rmdir": _naming("rmdir"),
    }  # fmt: skip
    _watch = (watcher, os.path.realpath(root))
    for name, function in wrapped.items():
        setattr(os, name, function)
    builtins.open = io.open = _open_file  # type: ignore[assignment]
    try:
        yield
    finally:
        for name, function in _real.items():
            setattr(os, name, function)
        builtins.open = io.open = _real_open
        _watch = None


def _tell(call: Call, make: Callable[[], Any], begin: Callable[[int], None] | None = None) -> Any:
    if _watch is None or not _below(call.path) or getattr(_state, "told", False):
        return make()
    with _order:
        _state.told = True
        try:
            _watch[0].before(call, begin)
            result = make()
            _watch[0].after(call)
        finally:
            _state.told = False
        return result


def _below(path: str) -> bool:
    return _watch is not None and (path + "/").startswith(_watch[1] + "/")


def _path(path: Any, folder: int | None = None) -> str:
    if isinstance(path, int):
        return os.readlink(f"/proc/self/fd/{path}")
    text = os.fsdecode(path)
    start = os.getcwd() if folder is None else os.readlink(f"/proc/self/fd/{folder}")
    return os.path.normpath(os.path.join(start, text))


def _open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    def make() -> int:
        return int(_real["open"](path, flags, mode, dir_fd=dir_fd))

    where = _path(path, dir_fd)
    what = "truncate" if flags & os.O_TRUNC else "create" if flags & os.O_CREAT else ""
    return int(_tell(Call(what, where), make)) if what else make()


def _fsync(descriptor: Any) -> None:
    number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
    _tell(Call("fsync", _path(number)), lambda: _real["fsync"](number))


def _writing(descriptor: int, data: Any, at: int, make: Callable[[Any], int]) -> int:
    content = bytes(data)

    def begin(count: int) -> None:
        make(content[:count])

    return int(_tell(Call("write", _path(descriptor), data=content, at=at), lambda: make(content), begin))


def _write(descriptor: int, data: Any) -> int:
    at = os.lseek(descriptor, 0, os.SEEK_CUR) if _below(_path(descriptor)) else 0
    return _writing(descriptor, data, at, lambda part: int(_real["write"](descriptor, part)))


def _pwrite(descriptor: int, data: Any, at: int) -> int:
    return _writing(descriptor, data, at, lambda part: int(_real["pwrite"](descriptor, part, at)))


def _ftruncate(descriptor: int, length: int) -> None:
    _tell(Call("cut", _path(descriptor), at=length), lambda: _real["ftruncate"](descriptor, length))


def _moving(what: str) -> Callable[..., None]:
    def move(source: Any, target: Any, **options: Any) -> None:
        call = Call("link" if what == "link" else "rename", _path(source), to=_path(target))
        _tell(call, lambda: _real[what](source, target, **options))

    return move


def _naming(what: str) -> Callable[..., None]:
    def change(path: Any, *rest: Any, dir_fd: int | None = None) -> None:
        _tell(Call(what, _path(path, dir_fd)), lambda: _real[what](path, *rest, dir_fd=dir_fd))

    return change


def _opener(path: Any, flags: int) -> int:
    return _open(path, flags, 0o666)


class _File(io.FileIO):
    def write(self, data: Any) -> int:  # type: ignore[override]
        return _writing(self.fileno(), data, self.tell(), super().write)


def _open_file(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
    if isinstance(file, int) or not set(mode) & set("wxa+") or not _below(_path(file)):
        return _real_open(file, mode, buffering, *rest, **options)
    _state.opening = True  # Python tells its auditors of this open before it asks the opener
    try:
        raw = _File(file, mode.replace("b", "").replace("t", ""), opener=_opener)
    finally:
        _state.opening = False
    if "b" in mode:
        return raw if buffering == 0 else io.BufferedWriter(raw)
    return io.TextIOWrapper(io.BufferedWriter(raw), *rest, **options)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _AUDITED or _watch is None:
        return
    if getattr(_state, "told", False) or getattr(_state, "opening", False):
        return
    if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return
    where = arguments[0]
    # what is relative to an open folder is told with no folder: only the standard library does that, wrapped
    if isinstance(where, str | os.PathLike | bytes) and os.path.isabs(where) and _below(_path(where)):
        raise RuntimeError(f"{event} of {_path(where)} got past the watcher")


def _install_auditor() -> None:
    if not getattr(sys, "_disk_calls_audited", False):
        sys._disk_calls_audited = True  # type: ignore[attr-defined]
        sys.addaudithook(_audit)
