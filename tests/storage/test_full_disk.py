"""A disk that gets full at any moment gives one line, and a workspace that goes on once there is room."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from committing import REF, digests, make, whole_or_absent
from disk_calls import Call, watched

from storage import staging as staging_module
from storage.aliases import Aliases
from storage.errors import DiskFull
from storage.files import files_under, is_partial
from storage.store import Store

# what takes room; a file that is there may be cut, and anything be deleted
TAKES_ROOM = ("create", "write", "mkdir", "rename", "fsync")


class Filling:
    """Full from the n-th call that takes room; of a write, a half still gets in."""

    def __init__(self, at: int, code: int = errno.ENOSPC) -> None:
        self.at, self.code, self.calls = at, code, 0

    def before(self, call: Call, begin: Callable[[int], None] | None) -> None:
        if call.what in TAKES_ROOM and not (call.what == "create" and os.path.exists(call.path)):
            self.calls += 1
            if self.calls >= self.at:
                if begin is not None:
                    begin(len(call.data) // 2)
                raise OSError(self.code, os.strerror(self.code))

    def after(self, call: Call) -> None:
        pass


@pytest.fixture(autouse=True)
def quick_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make` replaces these for good."""
    monkeypatch.setattr(staging_module, "git_commit", lambda: None)
    monkeypatch.setattr(staging_module, "package_versions", dict)


def test_full_at_every_call_it_says_so_and_goes_on_when_there_is_room(fast: Path) -> None:
    """Faults: a traceback from below; half a file left that the next run takes for whole; a hang."""
    make(fast / "expected")
    wanted = digests(fast / "expected")
    told, at, full = set(), 0, True
    while full:
        at += 1
        root = fast / str(at)
        root.mkdir()
        try:
            with watched(Filling(at), root):
                make(root)
            full = False
        except DiskFull as error:
            told.add(re.sub(r"\d+(\.\d)? [MG]B", "N", str(error).replace(str(root), "W")))
        whole_or_absent(root)
        assert not [path for path in files_under(root) if is_partial(path)]
        make(root)
        assert digests(root) == wanted
        assert whole_or_absent(root) == "whole"
    assert at > 70
    # where, how much is free, what to do; in one line
    line = re.compile(
        r"W/(staging|artifacts)/[^ ]+: cannot be written, the disk is full \(N of N are free\)\. What is made"
        r" so far stays: make room \(`segspade artifacts du` .*`segspade artifacts gc` .*\), and run it again"
    )
    for message in told:
        assert line.fullmatch(message), message
    print({"calls": at - 1, "messages": len(told)})


@pytest.mark.parametrize("backend", ["local"], indirect=True)
def test_aliases_and_quotas_too(store: Store) -> None:
    """Fault: the one file that is put outside of an artifact."""
    store.root.mkdir()
    aliases = Aliases(store.root)
    aliases.set("dataset", "mine", "0" * 16)
    with (
        watched(Filling(3, errno.EDQUOT), store.root),
        pytest.raises(DiskFull, match=r"mine\.json: cannot be written, the user's quota is used up \("),
    ):
        aliases.set("dataset", "mine", "1" * 16)
    assert aliases.get("dataset", "mine") == "0" * 16


@pytest.mark.parametrize("backend", ["local"], indirect=True)
def test_other_errors_of_the_disk_stay_what_they_are(store: Store) -> None:
    """Fault: a disk that stumbles is called full, and is not tried again."""
    store.root.mkdir()
    with watched(Filling(4, errno.EIO), store.root), pytest.raises(OSError, match="Input/output error"):
        make(store.root)
    make(store.root)
    assert store.verify(REF) == []
