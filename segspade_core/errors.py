"""The kinds of failure a caller of the core may want to tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def printable(text: str) -> str:
    """Text that can do nothing to a terminal or to a line: what does not show is escaped, as in Python."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


class InputError(ValueError):
    """What the user gave is wrong; the message says which file or key, what was wrong and how to mend it.

    The command line prints the message without a traceback and exits with status 2. Names in it may be those
    of any file: what does not show is escaped.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__("\n".join(map(printable, str(message).split("\n"))))


@dataclass(frozen=True, order=True)
class Problem:
    """One fault of a source: which file, what was wrong with it, and how to mend it."""

    file: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return printable(f"{self.file}: {self.what}. {self.remedy}")


_SHOWN = 50  # problems in a message: thousands would push what matters off the screen


class SourceError(InputError):
    """A source of images cannot be ingested; `problems` lists everything that is wrong with it."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = sorted(problems)
        count = len(self.problems)
        head = f"{source}: {count} problem{'s' if count != 1 else ''}, nothing was written"
        lines = [f"  {problem}" for problem in self.problems[:_SHOWN]]
        if count > _SHOWN:
            lines.append(f"  and {count - _SHOWN:,} more")
        super().__init__("\n".join([head, *lines]))


class WeightsError(InputError):
    """Pretrained weights are missing, unreadable or do not fit the model."""


class OutOfMemory(InputError):
    """There was not enough memory for what was asked; the message names it and what to lower."""


class TrainingDiverged(RuntimeError):
    """A loss term became NaN or infinite; the message names step, term and the last good checkpoint."""
