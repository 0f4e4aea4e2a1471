"""One writer at a time, on one machine or on a shared disk.

The lock is the kernel's (flock): it ends with the process that holds it, however that dies, so there is no
stale lock to judge and no race between two that would take it over. The JSON in the file only tells who
it is. The file stays when the lock is free: to delete it would let two processes lock two files of one name.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

OnWait = Callable[[str], None]
_POLL_S = 0.1


class Lock:
    """Held within `with`; entering waits until it is free.

    Args:
        path: the lock's file; made when missing.
        what: what is locked, for the message to those who wait.
        on_wait: told once who holds it, when it is not free at once.
    """

    def __init__(self, path: Path, what: str = "", on_wait: OnWait | None = None) -> None:
        self.path = path
        self.what = what or path.stem
        self.on_wait = on_wait
        self._descriptor = -1

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self._wait()
            self._sign()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def fileno(self) -> int:
        """The descriptor: a child process that inherits it holds the lock too, until both are gone."""
        return self._descriptor

    def _wait(self) -> None:
        told = False
        while not _try(self._descriptor, fcntl.LOCK_EX):
            if not told and self.on_wait is not None:
                self.on_wait(f"{self.what} is being made by {describe(owner(self.path))}; waiting for it")
                told = True
            time.sleep(_POLL_S)

    def _sign(self) -> None:
        import psutil  # here, since those who only read never lock

        signature = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "process_created": psutil.Process().create_time(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(signature).encode(), 0)

    def _close(self) -> None:
        # closed, not unlocked: to unlock would take it from a child that holds it too
        os.close(self._descriptor)
        self._descriptor = -1


def is_held(path: Path) -> bool:
    """Whether some process holds the lock at this moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def owner(path: Path) -> dict[str, Any]:
    """Who holds the lock, or held it last: pid, host, process_created, since; empty when nobody can tell."""
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return {}


def describe(signature: dict[str, Any]) -> str:
    """An owner in words; says so when the process itself is gone and a child of it holds on."""
    if not signature:
        return "another process"
    words = f"process {signature['pid']} on {signature['host']} since {signature['since']}"
    return f"a child of {words}" if _is_gone(signature) else words


def _is_gone(signature: dict[str, Any]) -> bool:
    if signature["host"] != socket.gethostname():
        return False
    import psutil

    try:
        # a pid is given out again: only with the same birth is it the same process
        return abs(psutil.Process(signature["pid"]).create_time() - float(signature["process_created"])) > 2
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _try(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
