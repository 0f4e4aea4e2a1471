"""One at a time; a holder that dies frees the lock; a child that inherits it holds on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from storage.locks import Lock, describe, is_held, owner

HOLD = """
import sys, time
from pathlib import Path
from storage.locks import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

HAND_ON = """
import subprocess, sys
from pathlib import Path
from storage.locks import Lock
with Lock(Path(sys.argv[1])) as lock:
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, pass_fds=(lock.fileno(),))
    print(child.pid, flush=True)
    child.wait()
"""

COUNT = """
import sys, time
from pathlib import Path
from storage.locks import Lock
counter = Path(sys.argv[2])
print("ready", flush=True)
for _ in range(20):
    with Lock(Path(sys.argv[1])):
        value = int(counter.read_text())
        time.sleep(0.001)
        counter.write_text(str(value + 1))
"""


def start(code: str, *arguments: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_two_threads_do_not_hold_one_lock(tmp_path):
    path, inside, most = tmp_path / "a.lock", [], []

    def work() -> None:
        for _ in range(5):
            with Lock(path):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 15


def test_processes_count_together_without_losing_one(tmp_path):
    (tmp_path / "count").write_text("0")
    started = [start(COUNT, tmp_path / "a.lock", tmp_path / "count")[0] for _ in range(3)]
    assert [process.wait(30) for process in started] == [0, 0, 0]
    for process in started:
        process.communicate()
    assert (tmp_path / "count").read_text() == "60"


def test_who_waits_is_told_once_who_holds_it_and_a_dead_holder_is_taken_over(tmp_path):
    path, told = tmp_path / "a.lock", []
    holder, _ = start(HOLD, path)
    assert is_held(path)
    threading.Timer(0.35, lambda: holder.send_signal(signal.SIGKILL)).start()
    with Lock(path, "segmenter/00", told.append):
        assert owner(path)["pid"] == os.getpid()
    holder.communicate()
    (message,) = told
    assert message.startswith(f"segmenter/00 is being made by process {holder.pid} on ")
    assert not is_held(path)


def test_a_child_holds_the_lock_of_a_killed_parent_until_it_ends(tmp_path):
    """Else a second run would write into the staging folder that the orphan still writes to."""
    path = tmp_path / "a.lock"
    parent, child = start(HAND_ON, path)
    end(parent)
    try:
        assert is_held(path)
        assert describe(owner(path)).startswith(f"a child of process {parent.pid} on ")
    finally:
        os.kill(int(child), signal.SIGKILL)
    with Lock(path):
        pass


def test_an_exception_frees_the_lock_and_an_interrupt_while_waiting_leaves_it_to_its_holder(tmp_path):
    path = tmp_path / "a.lock"
    with pytest.raises(ZeroDivisionError), Lock(path):
        raise ZeroDivisionError
    assert not is_held(path)

    def interrupt(_message: str) -> None:
        raise KeyboardInterrupt

    with Lock(path):
        with pytest.raises(KeyboardInterrupt), Lock(path, on_wait=interrupt):
            pass
        assert is_held(path)


def test_an_owner_that_cannot_be_read_is_another_process(tmp_path):
    (tmp_path / "a.lock").write_text('{"pid": 3')
    assert describe(owner(tmp_path / "a.lock")) == "another process"
    assert not is_held(tmp_path / "a.lock")
    assert not is_held(tmp_path / "none.lock")


def test_leaving_does_not_take_the_lock_from_a_child_that_still_works(tmp_path):
    path = tmp_path / "a.lock"
    with Lock(path) as lock:
        child = subprocess.Popen(["sleep", "60"], pass_fds=(lock.fileno(),))
    try:
        assert is_held(path)
    finally:
        end(child)
    assert not is_held(path)
