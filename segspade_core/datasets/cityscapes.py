"""Cityscapes' official folders, and Minicity, which uses the same with an index beside them.

    leftImg8bit/<split>/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    gtFine/<split>/<city>/<city>_<sequence>_<frame>_gtFine_labelIds.png
    gtFine/<split>/<city>/<city>_<sequence>_<frame>_gtFine_instanceIds.png

Both folders may lie below others, as they do when each zip file was unpacked into a folder of its own. Source
of the names: github.com/mcordts/cityscapesScripts, README, "Dataset Structure".
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace

from segspade_core.config import IngestConfig
from segspade_core.datasets.files import BadFile, SampleFiles
from segspade_core.datasets.pairing import Folder, Found, Gathered, Samples
from segspade_core.datasets.source import MINICITY_INDEX, Source
from segspade_core.errors import InputError, Problem

_ID = r"(?P<id>(?P<named>.+)_(?P<sequence>[0-9]{6})_(?P<frame>[0-9]{6}))"
_PHOTO_NAME = re.compile(rf"(?P<city>[^/]+)/{_ID}_leftImg8bit\.(?i:png|jpe?g)")
_TIMES = ("day", "dusk", "night")


def find_cityscapes(source: Source, config: IngestConfig) -> Found:
    """The samples of a source in Cityscapes' layout.

    Args:
        source: a folder or archives.
        config: splits, and whether annotation is gtFine, or gtCoarse with train_extra added to train.

    Raises:
        InputError: there are no photographs of a split, or no label maps of train or val.
    """
    truth = {"fine": "gtFine", "coarse": "gtCoarse"}[config.annotation]
    folders = _sort(source, truth)
    gathered = Gathered()
    for split in config.splits:
        names: list[str] = [split]
        if split == "train" and config.annotation == "coarse":
            names.append("train_extra")
        _check_present(source, split, truth, folders, names)
        gathered.samples[split] = []
        for name in names:
            _gather(gathered, split, folders.get(name, Folder()), name, truth)
    return gathered.found()


def find_minicity(source: Source, config: IngestConfig) -> Found:
    """The samples of a drawn city: Cityscapes' layout, and each frame's time of day from the index.

    Raises:
        InputError: the index is missing or unreadable; and what `find_cityscapes` raises.
    """
    times = _read_index(source)
    found = find_cityscapes(source, config)
    samples: Samples = {}
    problems = list(found.problems)
    for split, files in found.samples.items():
        samples[split] = []
        for sample in files:
            frame = times.pop(sample.id, None)
            if frame is None or frame[0] != split:
                what = f"is not in {MINICITY_INDEX} as a frame of {split}"
                problems.append(Problem(sample.image, what, "Draw the city anew into an empty folder"))
            else:
                samples[split].append(replace(sample, time_of_day=frame[1]))
    # of photographs that are there and in no sample, the problems tell already
    named = {path.rsplit("/", 1)[-1].rpartition("_leftImg8bit.")[0] for path in source.members()}
    for id, (split, _) in times.items():
        if split in config.splits and id not in named:
            file = f"leftImg8bit/{split}/{id.rsplit('_', 2)[0]}/{id}_leftImg8bit.png"
            problems.append(
                Problem(file, f"is in {MINICITY_INDEX} and not in the source", "Draw the city anew")
            )
    return Found(samples, problems)


def _sort(source: Source, truth: str) -> dict[str, Folder]:
    """Every file to the folder of the split it belongs to."""
    photo_folder = re.compile(r"(?:.*/)?leftImg8bit/(?P<split>[^/]+)/(?P<rest>.+)")
    truth_folder = re.compile(rf"(?:.*/)?{truth}/(?P<split>[^/]+)/(?P<rest>.+)")
    truth_name = re.compile(rf"(?P<city>[^/]+)/{_ID}_{truth}_(?P<kind>[A-Za-z]+)\.(?i:png)")
    folders: dict[str, Folder] = {}
    for path in source.members():
        # macOS spells an umlaut as two signs, and archives keep how it was spelled
        spelled = unicodedata.normalize("NFC", path)
        if match := photo_folder.fullmatch(spelled):
            _add_photograph(folders.setdefault(match["split"], Folder()), path, match["rest"])
        elif match := truth_folder.fullmatch(spelled):
            folder = folders.setdefault(match["split"], Folder())
            name = truth_name.fullmatch(match["rest"])
            if name is None or name["city"] != name["named"]:
                kind = "instanceIds" if "instanceIds" in path else "labelIds"
                folder.problems.append(_misnamed(path, f"{truth}_{kind}"))
            elif name["kind"] == "labelIds":
                folder.label_ids.setdefault(name["id"], []).append(path)
            elif name["kind"] == "instanceIds":
                folder.instance_ids.setdefault(name["id"], []).append(path)
            # else: colour maps, train ids and such, which we can make ourselves
    return folders


def _add_photograph(folder: Folder, path: str, rest: str) -> None:
    name = _PHOTO_NAME.fullmatch(rest)
    if name is None or name["city"] != name["named"]:
        folder.problems.append(_misnamed(path, "leftImg8bit"))
        return
    folder.photographs.append(
        SampleFiles(name["id"], name["city"], name["sequence"], int(name["frame"]), None, image=path)
    )


def _misnamed(path: str, ending: str) -> Problem:
    what = f"is not named <city>/<city>_<sequence>_<frame>_{ending}.png, with six digits each"
    return Problem(path, what, "Rename it, or move it out of the dataset")


def _gather(gathered: Gathered, split: str, folder: Folder, name: str, truth: str) -> None:
    if not folder.photographs and folder.label_ids:
        # one line, where each of train_extra's 20,000 label maps would have one
        what = f"has {len(folder.label_ids)} label maps, and leftImg8bit/{name} has no photographs"
        remedy = f"Put the archive with leftImg8bit/{name} there, or delete {truth}/{name}"
        gathered.problems += [*folder.problems, Problem(f"{truth}/{name}", what, remedy)]
        return
    if name == "train_extra" and folder.photographs and not folder.label_ids:
        what = f"has {len(folder.photographs)} photographs, and {truth}/{name} has no label maps"
        remedy = f"Put the archive with {truth}/{name} there, or delete leftImg8bit/{name}"
        gathered.problems += [*folder.problems, Problem(f"leftImg8bit/{name}", what, remedy)]
        return
    gathered.add(
        split,
        folder,
        lambda photo: f"{truth}/{name}/{photo.city}/{photo.id}_{truth}_labelIds.png",
        lambda id: f"leftImg8bit/{name}/{id.rsplit('_', 2)[0]}/{id}_leftImg8bit.png",
    )


def _check_present(
    source: Source, split: str, truth: str, folders: dict[str, Folder], names: list[str]
) -> None:
    mine = [folders[name] for name in names if name in folders]
    if any(folder.problems for folder in mine):
        return  # these say more than that nothing was found
    if not any(folder.photographs for folder in mine):
        there = (
            ", ".join(sorted(name for name, folder in folders.items() if folder.photographs)) or "no split"
        )
        raise InputError(
            f"{source}: no photographs of split '{split}'. Looked for leftImg8bit/{split}/<city>/"
            f"<city>_<sequence>_<frame>_leftImg8bit.png, and found photographs of {there}. Put them there, "
            f"or the official zip file with them, or leave {split} out of the splits."
        )
    if split != "test" and not any(folder.label_ids for folder in mine):
        raise InputError(
            f"{source}: no label maps of split '{split}'. Looked for {truth}/{split}/<city>/<city>_"
            f"<sequence>_<frame>_{truth}_labelIds.png. Put them there, or the official zip file with them, "
            f"or leave {split} out of the splits; only test may be without."
        )


def _read_index(source: Source) -> dict[str, tuple[str, str]]:
    """id → (split, time of day)."""
    paths = [path for path in source.members() if path.rsplit("/", 1)[-1] == MINICITY_INDEX]
    if len(paths) != 1:
        raise InputError(
            f"{source}: {len(paths)} files named {MINICITY_INDEX}, where a drawn city has one. Draw it with "
            "`segspade minicity`, or use --layout cityscapes for one without time of day."
        )
    try:
        frames = json.loads(source.read(paths[0]))["frames"]
        index = {id: (frame["split"], frame["time_of_day"]) for id, frame in frames.items()}
        if bad := {time for _, time in index.values() if time not in _TIMES}:
            raise BadFile(f"there is no time of day '{sorted(map(str, bad))[0]}'", "Draw the city anew")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = "frames without split and time of day"
        if isinstance(error, BadFile):
            what = error.what
        elif isinstance(error, (json.JSONDecodeError, UnicodeDecodeError, RecursionError)):
            what = "no JSON"
        raise InputError(
            f"{source}: {paths[0]} is not an index of a drawn city ({what}). Draw the city anew."
        ) from error
    return index
