"""One of several processes that ask for the same artifacts at once; started by test_eight_processes.py.

    python tests/storage/eight_worker.py WORKSPACE make SEED     makes what is missing, in an order of its own
    python tests/storage/eight_worker.py WORKSPACE read          looks, until the file `stop` is there

Every part that is begun is a line in WORKSPACE/log, as is every artifact that is committed.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from storage.files import put_bytes
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.store import Store

ARTIFACTS, PARTS = 10, 4


def made_of(number: int) -> dict[str, Any]:
    """Stage, revision, config and inputs of one of the artifacts."""
    return {"stage": "eight", "revision": 1, "config": {"number": number}, "inputs": {}}


def ref_of(number: int) -> ArtifactRef:
    """Its reference."""
    return ArtifactRef(kind="scores", key=artifact_key(**made_of(number)))


def content_of(number: int, part: int) -> bytes:
    """What belongs into one of its files."""
    return bytes([number, part]) * 5_000


def say(root: Path, line: str) -> None:
    # one write of a file opened to append: lines of several processes do not mix
    descriptor = os.open(root / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def make_all(root: Path, seed: int) -> None:
    """Ask for all of them."""
    store, choose = Store(root), random.Random(seed)
    for number in choose.sample(range(ARTIFACTS), ARTIFACTS):
        with store.writer(ref_of(number)) as staging:
            if staging is None:
                continue
            for part in range(PARTS):
                file = staging.path / "parts" / str(part)
                if not file.exists():
                    say(root, f"part {number} {part} {os.getpid()}")
                    put_bytes(file, content_of(number, part))
                    time.sleep(0.02)
            staging.commit(**made_of(number))
            say(root, f"made {number} {os.getpid()}")


def read_all(root: Path) -> None:
    """Look at what is there, as readers do: all of it must be whole. Prints how often something was."""
    store, seen = Store(root), 0
    while True:
        last = (root / "stop").exists()
        for ref in store.refs():
            number = next(number for number in range(ARTIFACTS) if ref_of(number) == ref)
            assert store.manifest(ref).config == {"number": number}
            assert store.verify(ref) == []
            files = {file.path: file.bytes for file in store.manifest(ref).files}
            assert files == {f"parts/{part}": 10_000 for part in range(PARTS)}, files
            for part in range(PARTS):
                assert (store.path(ref) / "parts" / str(part)).read_bytes() == content_of(number, part)
            seen += 1
        if last:
            print(seen)
            return


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print("ready", flush=True)
    if sys.argv[2] == "make":
        make_all(place, int(sys.argv[3]))
    else:
        read_all(place)
