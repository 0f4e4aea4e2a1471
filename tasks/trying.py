"""Pictures that are files → what becomes of them, as files. No artifacts, and no Prefect."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segspade_core.datasets import any_picture
from segspade_core.datasets.any_picture import decode_any_label_map, decode_any_photograph
from segspade_core.datasets.files import BadFile
from segspade_core.datasets.resize import resize_nearest
from segspade_core.errors import InputError
from segspade_core.figures.one_picture import picture_sheet
from segspade_core.figures.panels import map_png, marked, overlay, png
from segspade_core.labels import IGNORE_ID, NAMES
from storage.files import put_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from segspade_core.there_and_back import PictureModels, ThereAndBack

RECORD = "agreement.json"
_UNSAFE = re.compile(r"[^\w.\-()\[\] ]")
# files that some results have, and others not
_SOMETIMES = {"photograph.png", "overlay.png", "label_ids_full_size.png"}


@dataclass(frozen=True)
class Picture:
    """A file that is looked at, and the folder for what becomes of it."""

    path: Path
    is_label_map: bool
    folder: Path


@dataclass(frozen=True)
class Tried:
    """What became of one picture; `files` lie in its folder, `hint` is a sentence for whom gave it."""

    picture: Picture
    size: tuple[int, int]
    agreement: dict[str, float]
    files: tuple[Path, ...]
    hint: str = ""


@dataclass(frozen=True)
class PicturePlan:
    """What can be tried, and a sentence for each of what cannot."""

    pictures: list[Picture]
    problems: list[str]


def plan_pictures(
    photographs: Sequence[Path], label_maps: Sequence[Path], out: Path, style: Path | None = None
) -> PicturePlan:
    """A folder below `out` for each picture, of its name, with a number where that is taken. Makes nothing.

    Taken is a folder that holds other things than an earlier result, or one of the pictures that are read.

    Raises:
        InputError: there is no picture at all, or `out` cannot be written.
    """
    given = [(path, False) for path in photographs] + [(path, True) for path in label_maps]
    if not given:
        raise InputError("no picture: give photographs, or label maps with --labels")
    _check_writable(out)
    read = {path.resolve().parent for path, _ in given} | ({style.resolve().parent} if style else set())
    taken: set[str] = set()
    plan = PicturePlan([], [])
    for path, is_label_map in given:
        problem = _problem(path)
        if problem:
            plan.problems.append(f"{path}: {problem}")
            continue
        stem = _UNSAFE.sub("_", path.stem).strip(" .") or "picture"
        # as file systems that do not tell capitals apart see it
        names = (each for each in _numbered(stem) if each.casefold() not in taken)
        name = next(each for each in names if _is_free(out / each) and (out / each).resolve() not in read)
        taken.add(name.casefold())
        plan.pictures.append(Picture(path, is_label_map, out / name))
    if not plan.pictures:
        raise InputError("\n".join(plan.problems))
    return plan


def _problem(path: Path) -> str:
    if path.is_dir():
        return f"is a folder; name its pictures, such as {path}/*.jpg"
    if not path.exists():
        return "cannot be read (No such file or directory); check its name"
    if not path.is_file():
        return "is a pipe or a device; save the picture as a file"
    return ""


def _is_free(folder: Path) -> bool:
    """Whether results may go there: it is not there, or holds nothing, or an earlier result."""
    if not folder.is_dir():
        return not folder.exists() and not folder.is_symlink()
    return (folder / RECORD).is_file() or not any(folder.iterdir())


def _check_writable(out: Path) -> None:
    there = next(each for each in (out, *out.absolute().parents) if each.exists() or each.is_symlink())
    if not there.is_dir():
        raise InputError(f"{out}: {'' if there == out else f'{there} '}is a file; give a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{out}: cannot write there (Permission denied); give another folder")


def _numbered(stem: str) -> Any:
    yield stem
    for number in range(2, 1 << 30):
        yield f"{stem}-{number}"


def read_picture(path: Path, is_label_map: bool = False) -> Any:
    """The pixels of a file: (H, W, 3) uint8 of a photograph, (H, W) uint8 label ids of a map.

    Raises:
        InputError: it cannot be read, or is no such picture; the message names it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its name") from error
    try:
        return decode_any_label_map(content) if is_label_map else decode_any_photograph(content)
    except BadFile as error:
        raise InputError(str(error.of(str(path)))) from error


def try_picture(
    models: PictureModels,
    picture: Picture,
    code: Tensor | None,
    size: tuple[int, int] | None,
    about: dict[str, Any],
    note: str,
) -> Tried:
    """There and back, and every file of it put: whole, or not at all.

    Args:
        code: to paint by.
        size: (h, w) to work at; None takes what suits the models.
        about: kept in agreement.json: models, and what was asked of them.
        note: for the sheet.

    Raises:
        InputError: the picture is none, or cannot be painted at this size; nothing is written then.
    """
    from segspade_core.there_and_back import of_label_map, of_photograph

    pixels = read_picture(picture.path, picture.is_label_map)
    own = pixels.shape[:2]
    at = size or models.size_of(own)
    result = (of_label_map if picture.is_label_map else of_photograph)(models, pixels, at, code)
    about = {"file": str(picture.path), "own_size": list(own), **about}
    contents = picture_files(result, picture.path.name, note, own, about)
    for name, make in contents.items():
        put_bytes(picture.folder / name, make())
    # of an earlier result, which may have been of a photograph where this one is of a map
    for name in _SOMETIMES - contents.keys():
        (picture.folder / name).unlink(missing_ok=True)
    hint = ""
    if not picture.is_label_map and any_picture.is_label_map(picture.path.read_bytes()):
        hint = f"{picture.path}: looks like a label map; to begin with it, give it by --labels"
    return Tried(picture, at, result.agreement, tuple(picture.folder / name for name in contents), hint)


def picture_files(
    result: ThereAndBack, name: str, note: str, own: tuple[int, int], about: dict[str, Any]
) -> dict[str, Callable[[], bytes]]:
    """Name → how its bytes are made. Pictures are of one size, so that they lie over each other.

    Args:
        name: heading of the sheet.
        note: a line below that.
        own: (H, W) that the picture came in.
        about: kept in agreement.json.
    """
    files: dict[str, Callable[[], bytes]] = {
        "label_ids.png": lambda: png(result.first),
        "colours.png": lambda: map_png(result.first),
        "painting.png": lambda: png(result.painting),
        "second_label_ids.png": lambda: png(result.second),
        "second_colours.png": lambda: map_png(result.second),
        "disagreement.png": lambda: png(marked(result.painting, result.disagreement)),
        "panel.png": lambda: picture_sheet(result, name, note),
    }
    photograph = result.photograph
    if photograph is not None:
        files["photograph.png"] = lambda: png(photograph)
        files["overlay.png"] = lambda: png(overlay(photograph, result.first))
    if own != result.first.shape:
        files["label_ids_full_size.png"] = lambda: png(resize_nearest(result.first, own))
    # last: it says that the folder holds a result
    return files | {RECORD: lambda: _record(result, about)}


def _record(result: ThereAndBack, about: dict[str, Any]) -> bytes:
    import numpy as np

    pixels = [
        {
            "id": int(label_id),
            "name": "void" if label_id == IGNORE_ID else NAMES[label_id],
            "first": int((result.first == label_id).sum()),
            "second": int((result.second == label_id).sum()),
            "both": int(((result.first == label_id) & (result.second == label_id)).sum()),
        }
        for label_id in np.unique(np.concatenate([result.first.ravel(), result.second.ravel()]))
    ]
    told = {name: None if math.isnan(value) else value for name, value in result.agreement.items()}
    record = {**about, "size": list(result.first.shape), "agreement": told, "pixels": pixels}
    return (json.dumps(record, indent=1) + "\n").encode()


def asked_style(seed: int | None, style: Path | None) -> tuple[str, Any]:
    """The style as `PaintConfig` names it, and the pixels of the photograph that it is taken from.

    Raises:
        InputError: two styles are asked for, or the photograph is none.
    """
    if style is not None and seed is not None:
        raise InputError("--seed draws a style, and --style takes one from a photograph: give one of them")
    if style is not None:
        return f"image:{style.name}", read_picture(style)
    return ("mean" if seed is None else f"sample:{seed}"), None
