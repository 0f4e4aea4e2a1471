"""What the readers of a source hand on: the files of one sample, and the complaint about one file."""

from __future__ import annotations

from dataclasses import dataclass

from segspade_core.errors import InputError, Problem

# larger than any 16-bit photograph within the limit of pixels: an archive's member that says more is a bomb
MAX_FILE_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class SampleFiles:
    """Where the photograph and the maps of one sample lie in a source, and what its name says.

    Paths are relative to the source, with forward slashes; None where there is no such file.
    """

    id: str  # unique within the source
    city: str
    sequence: str  # as the name spells it, leading zeros and letters included
    frame: int  # counts up within a sequence
    time_of_day: str | None  # day, dusk or night; None: not known
    image: str
    label_ids: str | None = None
    instance_ids: str | None = None


class BadFile(InputError):
    """One file of a source cannot be used; raised while it is read, before its name is of interest."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}. {remedy}")

    def of(self, file: str) -> Problem:
        """The problem of `file`, a path within the source."""
        return Problem(file, self.what, self.remedy)
