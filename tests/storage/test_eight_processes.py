"""Eight processes ask for the same ten artifacts: each is made once, whoever dies meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from eight_worker import ARTIFACTS, PARTS, ref_of

from storage.locks import is_held, owner
from storage.store import Store

PROCESSES = 8
# far more than a takeover takes, and than a machine that is busy with other tests needs
PATIENCE_S = 120


def start(root: Path, *words: str) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("eight_worker.py")
    command = [sys.executable, str(script), str(root), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process


def end(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, error
    return out.removeprefix("ready\n")


def log_of(root: Path) -> list[list[str]]:
    try:
        return [line.split() for line in (root / "log").read_text().splitlines()]
    except FileNotFoundError:
        return []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def test_each_is_made_once_and_readers_see_only_what_is_whole(root: Path) -> None:
    """Faults: two writers at one artifact; work done twice; a reader that meets what is being made."""
    readers = [start(root, "read") for _ in range(2)]
    makers = [start(root, "make", str(seed)) for seed in range(PROCESSES)]
    for process in makers:
        end(process)
    (root / "stop").touch()
    looks = [int(end(reader)) for reader in readers]
    log = log_of(root)
    assert Counter(line[1] for line in log if line[0] == "made") == {str(n): 1 for n in range(ARTIFACTS)}
    assert len([line for line in log if line[0] == "part"]) == ARTIFACTS * PARTS
    # of each artifact, all parts are by the process that committed it
    assert len({(line[1], line[-1]) for line in log}) == ARTIFACTS
    store = Store(root)
    assert sorted(store.refs(), key=str) == sorted(map(ref_of, range(ARTIFACTS)), key=str)
    assert store.verify() == []
    assert not any((root / "staging").rglob("*.*"))
    assert min(looks) >= ARTIFACTS
    makers_of = Counter(line[2] for line in log if line[0] == "made")
    print(json.dumps({"made": ARTIFACTS, "looks": looks, "makers": sorted(makers_of.values())}))


def test_what_killed_owners_held_is_taken_over(root: Path) -> None:
    """Faults: a lock outlives its owner; a part is begun anew that was put; the others wait for ever."""
    makers = {process.pid: process for process in (start(root, "make", str(n)) for n in range(PROCESSES))}
    killed: set[int] = set()
    deadline = time.monotonic() + PATIENCE_S
    # three owners, each in the midst of an artifact, with parts that were put already
    while len(killed) < 3 and time.monotonic() < deadline:
        begun = {line[1]: int(line[-1]) for line in log_of(root) if line[0] == "part" and line[2] == "2"}
        made = {line[1] for line in log_of(root) if line[0] == "made"}
        owners = [pid for number, pid in begun.items() if number not in made and pid not in killed]
        if owners:
            makers[owners[0]].send_signal(signal.SIGKILL)
            makers[owners[0]].communicate()
            killed.add(owners[0])
        time.sleep(0.005)
    assert len(killed) == 3
    for pid, process in makers.items():
        if pid not in killed:
            end(process)
    log = log_of(root)
    made = Counter(line[1] for line in log if line[0] == "made")
    parts = Counter((line[1], line[2]) for line in log if line[0] == "part")
    # one may have been killed between its commit and the line that tells it
    assert max(made.values()) == 1
    assert sum(made.values()) >= ARTIFACTS - len(killed)
    assert set(parts) == {(str(n), str(part)) for n in range(ARTIFACTS) for part in range(PARTS)}
    # each kill may have cut short one part, which is then begun once more
    assert sum(parts.values()) <= ARTIFACTS * PARTS + len(killed)
    store = Store(root)
    assert len(store.refs()) == ARTIFACTS
    assert store.verify() == []
    taken = [n for n, _ in made.items() if len({line[-1] for line in log if line[1] == n}) > 1]
    print(json.dumps({"killed": len(killed), "taken over": len(taken), "parts begun": sum(parts.values())}))
    assert not any(is_held(path) for path in (root / "locks").iterdir())
    assert not {owner(store.lock_path(ref_of(int(n))))["pid"] for n in taken} & killed
