"""Which samples a source holds, whatever its layout; nothing is decoded."""

from __future__ import annotations

from segspade_core.config import IngestConfig
from segspade_core.datasets.camvid import find_camvid
from segspade_core.datasets.cityscapes import find_cityscapes, find_minicity
from segspade_core.datasets.pairing import Found
from segspade_core.datasets.source import Source
from segspade_core.errors import InputError

__all__ = ["Found", "find_samples"]

_LAYOUTS = {"cityscapes": find_cityscapes, "camvid": find_camvid, "minicity": find_minicity}


def find_samples(source: Source, config: IngestConfig) -> Found:
    """The samples of the splits that `config` asks for.

    Args:
        source: a folder or archives.
        config: layout, splits and annotation.

    Returns:
        Samples per split, sorted by id, and everything that is wrong with names and pairs, sorted. The files
        themselves are checked by `decode.check_sample`.

    Raises:
        InputError: a split has nothing at all; the message says what was looked for.
    """
    try:
        found = _LAYOUTS[config.layout](source, config)
    except InputError as error:
        if not source.problems:
            raise
        # what could not be used may be why
        unusable = "\n".join(f"  {problem}" for problem in sorted(source.problems))
        raise InputError(f"{error}\nThese could not be used:\n{unusable}") from error
    return Found(found.samples, sorted({*source.problems, *found.problems}))
