"""The files of one sample → its pixels, checked and brought to size."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from segspade_core.config import IngestConfig
from segspade_core.datasets.camvid import TO_LABEL_IDS
from segspade_core.datasets.files import BadFile, SampleFiles
from segspade_core.datasets.instances import check_instances
from segspade_core.datasets.pixels import decode_instance_ids, decode_label_ids, decode_photograph
from segspade_core.datasets.png import HEADER_BYTES, read_header
from segspade_core.datasets.resize import RESIZE_RULE, resize_area, resize_nearest
from segspade_core.datasets.sample import Sample
from segspade_core.errors import Problem, SourceError
from segspade_core.labels import IGNORE_ID, NUM_IDS

__all__ = ["RESIZE_RULE", "LoadedSample", "Reads", "check_sample", "load_sample", "map_size"]

_SHOWN = 5  # unknown ids named in a message; a colour map in grey has hundreds
_MIN_SIDE = (
    8  # as of the sizes that things can be stored at: a single pixel stands for a photograph, and is none
)
Array = npt.NDArray[Any]

_DECODERS: dict[str, Callable[[bytes], Array]] = {
    "image": decode_photograph,
    "label_ids": decode_label_ids,
    "instance_ids": decode_instance_ids,
}
_WORDS = {"label_ids": "label map", "instance_ids": "instance map"}


class Reads(Protocol):
    """What files are read from: a source, or one that is read ahead."""

    place: Path

    def read(self, path: str, first: int | None = None) -> bytes:
        """As `Source.read`."""


@dataclass(frozen=True)
class LoadedSample:
    """One sample at the size asked for, and what else its files say."""

    sample: Sample
    full_size: dict[str, Array]  # label_ids uint8, instance_ids uint16, as annotated: (H, W); those there are
    contents: tuple[bytes, ...]  # of the files: photograph, label map, instance map; those there are

    @property
    def sha256(self) -> str:
        """Of the files' bytes one after the other: `cat PHOTOGRAPH LABELS INSTANCES | sha256sum`."""
        digest = hashlib.sha256()
        for content in self.contents:
            digest.update(content)
        return digest.hexdigest()


def check_sample(source: Reads, files: SampleFiles, config: IngestConfig) -> list[Problem]:
    """Everything that is wrong with the files of one sample; each is read and decoded whole.

    Args:
        source: where the files lie.
        files: which they are.
        config: its `layout` says which label ids there may be.

    Returns:
        At most one problem a file, in the order photograph, label map, instance map; empty when all is well.

    Raises:
        OSError: the disk failed; another try may help. Wrong bytes never raise.
    """
    return _read(source, files, config)[1]


def map_size(source: Reads, files: SampleFiles) -> tuple[int, int] | None:
    """(H, W) that the label map of a sample was annotated at, by its header; None where there is no map.

    Raises:
        BadFile: it is no PNG.
        OSError: the disk failed.
    """
    if files.label_ids is None:
        return None
    header = read_header(source.read(files.label_ids, HEADER_BYTES))
    return header.height, header.width


def load_sample(source: Reads, files: SampleFiles, config: IngestConfig) -> LoadedSample:
    """One sample at `config.size`, by RESIZE_RULE, with label ids of the one table.

    Takes the memory of one sample.

    Args:
        source: where the files lie.
        files: which they are.
        config: layout and size.

    Raises:
        SourceError: a file is wrong: see `check_sample`.
        OSError: the disk failed; another try may help.
    """
    arrays, problems, contents = _read(source, files, config)
    if problems:
        raise SourceError(str(source.place), problems)
    full_size = {name: arrays[name] for name in _WORDS if name in arrays}
    if "label_ids" in full_size and config.layout == "camvid":
        full_size["label_ids"] = TO_LABEL_IDS[full_size["label_ids"]]
    maps = {name: resize_nearest(array, config.size) for name, array in full_size.items()}
    return LoadedSample(Sample(image=resize_area(arrays["image"], config.size), **maps), full_size, contents)


def _read(
    source: Reads, files: SampleFiles, config: IngestConfig
) -> tuple[dict[str, Array], list[Problem], tuple[bytes, ...]]:
    """Pixels as stored, by the names of Sample; what is wrong; the bytes of the files."""
    arrays: dict[str, Array] = {}
    problems: list[Problem] = []
    contents: list[bytes] = []
    for name, decode in _DECODERS.items():
        path = getattr(files, name)
        if path is None:
            continue
        try:
            content = source.read(path)
            contents.append(content)
            array = decode(content)
            _check_content(name, array, arrays, config)
        except BadFile as error:
            problems.append(error.of(path))
        else:
            arrays[name] = array
    return arrays, problems, tuple(contents)


def _check_content(name: str, array: Array, before: dict[str, Array], config: IngestConfig) -> None:
    if name == "image":
        if min(array.shape[:2]) < _MIN_SIDE:
            what = f"is {array.shape[0]}x{array.shape[1]} pixels, too small for a photograph"
            raise BadFile(what, f"Export it at its own size; each side is at least {_MIN_SIDE} pixels")
        return
    if "image" in before and array.shape != before["image"].shape[:2]:
        photograph = "x".join(map(str, before["image"].shape[:2]))
        raise BadFile(
            f"is {array.shape[0]}x{array.shape[1]} pixels, its photograph is {photograph} (height x width)",
            f"Export the {_WORDS[name]} at the photograph's size",
        )
    if name == "label_ids":
        _check_ids(array, config)
    else:
        check_instances(array, before.get("label_ids"))


def _check_ids(label_ids: Array, config: IngestConfig) -> None:
    # CamVid's own ids: they are mapped when the sample is loaded
    table, last = ("camvid", 11) if config.layout == "camvid" else ("cityscapes", NUM_IDS - 1)
    if label_ids.max() <= last:
        return  # most maps: there is nothing to count
    counts = np.bincount(label_ids.ravel(), minlength=256)
    counts[: last + 1] = 0
    counts[IGNORE_ID] = 0
    unknown = np.flatnonzero(counts)
    if unknown.size == 0:
        return
    named = [f"{value} ({counts[value]} of {label_ids.size} pixels)" for value in unknown[:_SHOWN]]
    more = f" and {unknown.size - _SHOWN} more" if unknown.size > _SHOWN else ""
    one = unknown.size == 1
    raise BadFile(
        f"label id{'' if one else 's'} {', '.join(named)}{more} {'is' if one else 'are'} not in label table "
        f"'{table}', which lists 0..{last} and 255",
        f"If {'it means' if one else 'they mean'} void in your data, write 255 instead; if the PNG holds "
        "colours, convert it to label ids first",
    )
