"""Bytes are put whole or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

from storage import files
from storage.checkpoints import FolderCheckpoints
from storage.errors import DiskFull
from storage.files import files_under, is_partial, put_bytes, sha256_file

WRITER = """
import sys, itertools
from pathlib import Path
from storage.files import put_bytes
path = Path(sys.argv[1])
print("ready", flush=True)
for i in itertools.count():
    put_bytes(path, bytes([i % 251]) * 300_000)
"""


def test_what_is_put_is_there_and_nothing_else(tmp_path):
    path = tmp_path / "a" / "b.bin"
    for content in (b"first", b"", b"x" * 3_000_000):
        put_bytes(path, content)
        assert path.read_bytes() == content
        assert sha256_file(path) == hashlib.sha256(content).hexdigest()
    assert list(files_under(tmp_path)) == [path]


def test_a_failed_put_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    put_bytes(path, b"old")

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DiskFull, match=r"a\.bin: cannot be written, the disk is full \("):
        put_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_name_are_synced_before_put_returns(tmp_path, monkeypatch):
    """Without both, a power cut after a commit would leave empty files below a whole manifest."""
    synced, replaced = [], []
    fsync, replace = os.fsync, os.replace

    def note_sync(descriptor):
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), bool(replaced)))
        fsync(descriptor)

    def note_replace(source, target):
        replaced.append(target)
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", note_sync)
    monkeypatch.setattr(files.os, "replace", note_replace)
    put_bytes(tmp_path / "a.bin", b"content")
    (file, after_name), (folder, after) = synced
    assert is_partial(tmp_path / os.path.basename(file))
    assert not after_name
    assert (folder, after) == (str(tmp_path), True)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_put_leaves_a_whole_file(tmp_path):
    path = tmp_path / "a.bin"
    put_bytes(path, b"\x00" * 300_000)
    for wait_s in (0.0, 0.011, 0.023):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        content = path.read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1
    assert all(is_partial(left) for left in files_under(tmp_path) if left != path)


def test_checkpoints_come_back_and_are_replaced(tmp_path):
    checkpoints = FolderCheckpoints(tmp_path / "checkpoints")
    assert checkpoints.load("last") is None
    checkpoints.save("last", b"one")
    checkpoints.save("best", b"two")
    checkpoints.save("last", b"three")
    assert (checkpoints.load("last"), checkpoints.load("best")) == (b"three", b"two")
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "best.safetensors",
        "last.safetensors",
    ]
