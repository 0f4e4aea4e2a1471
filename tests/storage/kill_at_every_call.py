"""Kill a commit before each call that changes the disk, and in the middle of each write; tell what came.

    python tests/storage/kill_at_every_call.py FOLDER

Run by test_crashes.py. A process of its own, without threads, so that it may fork: one child makes and is
killed at the n-th call, the next goes on from what that left.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

# what the storage imports when it is first needed: here once, in place of in every child
import crc32c
import psutil
import pyarrow.parquet
import zarr
from committing import REF, digests, make, whole_or_absent
from disk_calls import Call, watched

from storage.files import bytes_under
from storage.store import Store

_ = (crc32c, psutil, pyarrow.parquet, zarr)


class Killer:
    """Ends the process before the n-th call; a write counts twice, and is half done the second time."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def before(self, call: Call, begin: Callable[[int], None] | None) -> None:
        self._count()
        if begin is not None and self.calls + 1 == self.at:
            begin(len(call.data) // 2)
        if begin is not None:
            self._count()

    def after(self, call: Call) -> None:
        pass

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def in_child(run: Callable[..., object], *arguments: object) -> bool:
    """Whether the child got to its end; False when it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            run(*arguments)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.waitstatus_to_exitcode(status) == 0, "a child failed: see above"
    return True


def cut(run: Callable[[Path], object], root: Path, at: int) -> bool:
    def body() -> None:
        with watched(Killer(at), root):
            run(root)

    return in_child(body)


def commits(folder: Path) -> dict[str, object]:
    """Cut a commit everywhere; what is left must be whole or absent, and the next must end with the same."""
    expected = folder / "expected"
    in_child(make, expected)
    wanted, left, at, ended = digests(expected), Counter[str](), 0, False
    while not ended:
        at += 1
        root = folder / "workspace"
        root.mkdir()
        ended = cut(make, root, at)
        left[whole_or_absent(root)] += 1
        in_child(make, root)
        assert whole_or_absent(root) == "whole", at
        assert digests(root) == wanted, at
        assert not bytes_under(root / "staging"), at
        shutil.rmtree(root)
    return {"calls": at - 1, "left": left}


def collect(root: Path) -> None:
    store = Store(root)
    store.gc(store.gc_plan())


def removals(folder: Path) -> dict[str, object]:
    """Cut a deletion everywhere: whole or absent; and what is made again is not of what was left."""
    expected = folder / "expected"
    wanted, left, at, ended = digests(expected), Counter[str](), 0, False
    strange = Store(expected).path(REF) / "strange.txt"
    while not ended:
        at += 1
        root = folder / "workspace"
        strange.write_text("of no run")
        shutil.copytree(expected, root)
        strange.unlink()
        ended = cut(lambda at_root: Store(at_root).remove(REF), root, at)
        store = Store(root)
        left["whole" if store.exists(REF) else "absent"] += 1
        if at % 3 and not store.exists(REF):
            in_child(make, root)
            assert digests(root) == wanted, at
            in_child(Store(root).remove, REF)
        for item in store.gc_plan().items:
            assert item.committed == store.exists(item.ref), item
        in_child(collect, root)
        assert not bytes_under(root / "artifacts"), at
        shutil.rmtree(root)
    return {"calls": at - 1, "left": left}


if __name__ == "__main__":
    here = Path(sys.argv[1])
    print(json.dumps({"commit": commits(here), "remove": removals(here)}))
