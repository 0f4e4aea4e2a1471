"""What the readers of a source hand on: the files of one sample, and the complaint about one file."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from segspade_core.errors import InputError, Problem, printable

# larger than any 16-bit photograph within the limit of pixels: an archive's member that says more is a bomb
MAX_FILE_BYTES = 256 * 1024**2

MINICITY_INDEX = "minicity.json"  # at the root of a drawn city: its config, and the time of day of each frame
# only what an ingest may read is part of a source: a note beside the images must not make a new dataset
_SUFFIXES = (".png", ".jpg", ".jpeg")
_SHOWN = 80  # letters of a name that is not fit to be shown as it is


def is_junk(name: str) -> bool:
    """What macOS leaves behind beside the real files, and hidden folders such as .git."""
    return name.startswith(".") or name == "__MACOSX"


def is_wanted(path: str) -> bool:
    """Whether a path is one of an image, or of a drawn city's index."""
    name = path.rsplit("/", 1)[-1]
    return not any(map(is_junk, path.split("/"))) and (
        name.lower().endswith(_SUFFIXES) or name == MINICITY_INDEX
    )


def fault_of_name(path: str) -> str | None:
    """Why a path is not fit for messages, tables and terminals, if so."""
    kinds = set(map(unicodedata.category, path))
    if "Cs" in kinds:
        return "has a name that is not Unicode"
    return "has a name with a control character in it" if "Cc" in kinds else None


def shown(path: str) -> str:
    """A path that may hold anything, as a message can hold it: escaped, and cut where it is long."""
    text = printable(path)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


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
