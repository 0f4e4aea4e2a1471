"""Progress of long work: a bar with rate and time left in a terminal, an artifact in the Prefect UI."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

_UI_SECONDS = 5.0
_MB = 10**6


class RateColumn(ProgressColumn):
    """Units a second, as measured over the last moments."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        if rate is None:
            return Text("")
        unit = task.fields.get("unit", "it")
        text = f"{rate:.1f} {unit}/s" if rate >= 1 or rate == 0 else f"{1 / rate:.1f} s/{unit}"
        return Text(text, style="cyan")


class Bar:
    """One line of progress."""

    def __init__(self, description: str, total: int, unit: str) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done = 0
        self._lock = threading.Lock()
        # what is over in a moment needs no page of its own
        self._told_s = time.monotonic()
        self._artifact: object | None = None
        self._task = _screen.add(description, total, unit)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Tell that `count` more units are done."""
        self.move_to(self.done + count, note)

    def move_to(self, done: int, note: str = "") -> None:
        """Tell how many units are done in all, and what there is to say about the last of them."""
        with self._lock:
            self.done = done
            _screen.update(self._task, self.done, self.total, note)
            self._tell_ui()

    def set_total(self, total: int) -> None:
        """Tell how many units there are, when that becomes known."""
        self.total = total

    def _tell_ui(self) -> None:
        now = time.monotonic()
        ends = self.done >= self.total and self._artifact is not None
        if now - self._told_s < _UI_SECONDS and not ends:
            return
        # who has not imported Prefect is in no run, and must not wait for seconds to learn that
        if "prefect" not in sys.modules:
            return
        from prefect.context import FlowRunContext, TaskRunContext

        if FlowRunContext.get() is None and TaskRunContext.get() is None:
            return
        self._told_s = now
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        percent = 100.0 * self.done / max(self.total, 1)
        if self._artifact is None:
            self._artifact = create_progress_artifact(percent, description=self.description)
        else:
            update_progress_artifact(self._artifact, percent)  # type: ignore[arg-type]

    def close(self) -> None:
        """Take the line off the screen."""
        _screen.remove(self._task)


def _whole(ratio: int | None = None) -> Column:
    """A column that is never broken into two lines."""
    return Column(no_wrap=True, overflow="ellipsis", ratio=ratio)


class _Screen:
    """The terminal's share: shown only on a terminal, and only while there is a bar."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._bars = 0
        self._lock = threading.RLock()

    def add(self, description: str, total: int, unit: str) -> int | None:
        if not sys.stderr.isatty():
            return None
        with self._lock:
            if self._progress is None:
                self._progress = Progress(
                    TextColumn("{task.description}", table_column=_whole()),
                    BarColumn(bar_width=12),
                    MofNCompleteColumn(table_column=_whole()),
                    RateColumn(table_column=_whole()),
                    TextColumn("left", table_column=_whole()),
                    TimeRemainingColumn(table_column=_whole()),
                    # what is cut where the terminal is narrow
                    TextColumn("[dim]{task.fields[note]}", table_column=_whole(ratio=1)),
                    console=Console(stderr=True),
                    transient=True,
                    expand=True,
                )
                self._progress.start()
            self._bars += 1
            return int(self._progress.add_task(description, total=total, unit=unit, note=""))

    def print(self, message: str) -> None:
        with self._lock:
            console = self._progress.console if self._progress is not None else Console(stderr=True)
            console.print(message, style="dim", highlight=False)

    def update(self, task: int | None, done: int, total: int, note: str) -> None:
        if task is not None and self._progress is not None:
            self._progress.update(task, completed=done, total=total, note=note)  # type: ignore[arg-type]

    def remove(self, task: int | None) -> None:
        if task is None:
            return
        with self._lock:
            assert self._progress is not None
            self._progress.remove_task(task)  # type: ignore[arg-type]
            self._bars -= 1
            if self._bars == 0:
                self._progress.stop()
                self._progress = None


_screen = _Screen()


def say_done(message: str) -> None:
    """One line about what is done, for who watches a terminal; elsewhere nothing."""
    if sys.stderr.isatty():
        _screen.print(message)


def say(message: str) -> None:
    """One line on standard error, above whatever bar is shown."""
    _screen.print(message)


@contextmanager
def progress(description: str, total: int, unit: str = "image") -> Iterator[Bar]:
    """A bar for `total` units of work; silent when standard error is not a terminal."""
    bar = Bar(description, total, unit)
    try:
        yield bar
    finally:
        bar.close()


class Bytes:
    """A bar in megabytes that is told of bytes, by several threads; see `bytes_progress`."""

    def __init__(self, bar: Bar) -> None:
        self.count = 0
        self._bar = bar
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        """Tell of so many bytes more."""
        with self._lock:
            before, self.count = self.count, self.count + count
            if before // _MB < self.count // _MB:
                self._bar.move_to(self.count // _MB)


@contextmanager
def bytes_progress(description: str, total: int) -> Iterator[Bytes]:
    """As `progress`, for so many bytes."""
    with progress(description, total // _MB, "MB") as bar:
        yield Bytes(bar)
