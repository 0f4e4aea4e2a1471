"""Files of a source, read by a thread of their own while those before them are decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from segspade_core.datasets.source import Source

_AHEAD = 3  # files: the next sample's photograph and maps


class ReadAhead:
    """Reads as the source does; the paths given are best asked for in their order. For one thread."""

    def __init__(self, source: Source, paths: Iterable[str]) -> None:
        self.place = source.place
        self._source = source
        self._later = deque(paths)
        self._reading: dict[str, Future[bytes]] = {}
        self._thread = ThreadPoolExecutor(1, "read ahead")

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def read(self, path: str, first: int | None = None) -> bytes:
        """As `Source.read`, with its errors."""
        if first is not None or path not in self._reading:
            return self._source.read(path, first)
        future = self._reading.pop(path)
        content = future.result()
        self._begin()
        return content

    def _begin(self) -> None:
        while self._later and len(self._reading) < _AHEAD:
            path = self._later.popleft()
            self._reading[path] = self._thread.submit(self._source.read, path)
