"""One writer at a time, of all that work on one bucket.

A bucket has no kernel that frees the lock of a process that dies. So the lock is a lease: an object that its
holder puts anew every few seconds, each time on condition that it is as it was left. One that does not change
for LEASE_S by the watch of who waits is taken over, on the same condition. No clock of another machine is
trusted, and a holder that could not renew in time knows by its own watch that it holds nothing any more.

The kernel's lock in the mirror is held as well. It is what a child inherits; and whoever has it need not wait
for a lease of this very mirror, whose holder must be gone.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from storage.errors import StorageError
from storage.locks import Lock, OnWait, describe, is_held
from storage.mirror import Mirror
from storage.objects import Bucket, BucketAway, Object, Outrun

LEASE_S = 10.0
RENEW_S = 2.0
_POLL_S = 0.25


class Lease:
    """Held within `with`, as `storage.locks.Lock`; entering waits until it is free.

    Args:
        mirror: whose bucket the lock is in.
        path: of the lock's file in the mirror; its object has the same name.
        what: what is locked, for the message to those who wait.
        on_wait: told once who holds it, when it is not free at once.
    """

    def __init__(self, mirror: Mirror, path: Path, what: str = "", on_wait: OnWait | None = None) -> None:
        self.mirror = mirror
        self.what = what or path.stem
        self.on_wait = on_wait
        self._name = mirror.name(path)
        # it must give up before the lease ends: whether that is renewed is known then
        self._quick = mirror.patient(LEASE_S / 3)
        self._local = Lock(path, what, on_wait)
        self._signature: dict[str, Any] = {}
        self._etag = ""
        self._renewed = -LEASE_S
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._local.__enter__()
        try:
            self._acquire()
        except BaseException:
            self._local.__exit__(None, None, None)
            raise
        self._thread = threading.Thread(target=self._keep, name=f"lease on {self.what}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._over.set()
            if self._thread is not None:
                self._thread.join()
            # later than that, another may have it by the time the server hears of this
            if time.monotonic() < self._renewed + LEASE_S / 2:
                self._quick.delete([self._name])
        except BucketAway:
            pass  # it ends by itself
        finally:
            self._local.__exit__(kind, error, trace)

    def fileno(self) -> int:
        """The descriptor of the lock in the mirror; see `storage.locks.Lock.fileno`."""
        return self._local.fileno()

    def check(self) -> None:
        """See that it is still held.

        Raises:
            StorageError: it could not be renewed in time, and another may hold it by now.
        """
        if time.monotonic() >= self._renewed + LEASE_S:
            raise StorageError(
                f"{self.what}: the bucket was away for so long that another process may make it by now; "
                "run the same again to go on from here"
            )

    def _acquire(self) -> None:
        self._signature = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "mirror": self.mirror.ident,
            "nonce": uuid.uuid4().hex,
        }
        watch = _Watch()
        told = False
        while True:
            found = self.mirror.bucket.get(self._name)
            asked = time.monotonic()
            if found is None or watch.is_over(found) or _signature(found).get("mirror") == self.mirror.ident:
                try:
                    self._put(self.mirror.bucket, found, 0, asked)
                except Outrun:
                    continue
                if time.monotonic() < asked + LEASE_S / 2:
                    return
                continue  # a server that slow took half of it: begin with a whole one
            if not told and self.on_wait is not None:
                self.on_wait(f"{self.what} is being made by {_describe(found)}; waiting for it")
                told = True
            time.sleep(_POLL_S)

    def _keep(self) -> None:
        number = 0
        while not self._over.wait(RENEW_S):
            asked, number = time.monotonic(), number + 1
            try:
                self._put(self._quick, Object(b"", self._etag), number, asked)
            except Outrun:
                self._renewed = -LEASE_S
                return
            except StorageError:
                continue  # `check` tells, should it go on for too long

    def _put(self, bucket: Bucket, before: Object | None, number: int, asked: float) -> None:
        content = json.dumps({**self._signature, "renewed": number}).encode()
        if before is None:
            self._etag = bucket.put_new(self._name, content)
        else:
            self._etag = bucket.put_over(self._name, content, before.etag)
        # from when it was asked for: whoever saw it before that saw it older than that
        self._renewed = asked


class _Watch:
    """How long a lease has not changed, as seen from here."""

    def __init__(self) -> None:
        self._etag = ""
        self._since = 0.0

    def is_over(self, found: Object) -> bool:
        """Whether it has not changed for as long as a lease lasts."""
        now = time.monotonic()
        if found.etag != self._etag:
            self._etag, self._since = found.etag, now
        return now >= self._since + LEASE_S


def held(mirror: Mirror) -> dict[str, str]:
    """Names of the locks that some process holds, and who that is. Takes as long as a lease lasts when there
    are locks whose holders died."""
    alive: dict[str, str] = {}
    names = [entry.name for entry in mirror.entries(mirror.root / "locks")]
    first = dict(_read(mirror, names))
    doubtful = {}
    for name, found in first.items():
        if is_held(mirror.root / name):
            alive[name] = _describe(found)
        elif _signature(found).get("mirror") != mirror.ident:
            doubtful[name] = found
    deadline = time.monotonic() + LEASE_S
    while doubtful and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        again = dict(_read(mirror, doubtful))  # without those that were freed since
        alive |= {name: _describe(found) for name, found in again.items() if found.etag != first[name].etag}
        doubtful = {name: found for name, found in again.items() if name not in alive}
    return alive


def _read(mirror: Mirror, names: Iterable[str]) -> Iterable[tuple[str, Object]]:
    for name in list(names):
        found = mirror.bucket.get(name)
        if found is not None:
            yield name, found


def _signature(found: Object) -> dict[str, Any]:
    try:
        return dict(json.loads(found.content))
    except (ValueError, TypeError):
        return {}


def _describe(found: Object) -> str:
    signature = _signature(found)
    try:
        # not asked whether it lives: on another machine its pid is another process's
        return f"process {signature['pid']} on {signature['host']} since {signature['since']}"
    except KeyError:
        return describe({})
