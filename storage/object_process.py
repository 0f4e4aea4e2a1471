"""A process that speaks with a bucket for another one, which was forked and cannot: see `storage.objects`.

`python -m storage.object_process URL PATIENCE`: a pickled (method, arguments) on standard input, a pickled
(whether it went well, result or error) on standard output, until the input ends.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class BucketProcess:
    """A bucket behind a process of its own, which is started now and ends with this one."""

    def __init__(self, url: str, patience_s: float) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, url, str(patience_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *arguments: self._ask(method, arguments)

    def blocks(self, name: str) -> Iterator[bytes]:
        """As `Objects.blocks`, in one block."""
        found = self._ask("get", (name,))
        if found is None:
            raise FileNotFoundError(name)
        yield found.content

    def _ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            pickle.dump((method, arguments), self._process.stdin)
            self._process.stdin.flush()
            went_well, result = pickle.load(self._process.stdout)
        if not went_well:
            raise result
        return result


def main() -> None:
    """Answer until nobody asks any more."""
    from storage.objects import Objects

    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not come between the answers
    objects = Objects(sys.argv[1], float(sys.argv[2]))
    while True:
        try:
            method, arguments = pickle.load(questions)
        except EOFError:
            return
        try:
            answer = (True, getattr(objects, method)(*arguments))
        except Exception as error:
            error.__cause__ = None  # obstore's own errors cannot be pickled
            answer = (False, error)
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
