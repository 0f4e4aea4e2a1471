"""Files that are named otherwise, lie elsewhere, are missing, or are there twice."""

from __future__ import annotations

import json

from bad_inputs.corpus import FOLDER, ZIP, Case, one, several
from bad_inputs.encoders import zip_of
from bad_inputs.good import FRAME_IDS, City

MOVE = "Rename it, or move it out of the dataset"
NAMING = f"is not named <city>/<city>_<sequence>_<frame>_{{}}.png, with six digits each. {MOVE}"
CAMVID_NAMING = f"is not named <sequence>_<frame>.png, such as 0001TP_006690.png. {MOVE}"
NO_PHOTOGRAPHS = (
    "{{place}}: no photographs of split '{0}'. Looked for leftImg8bit/{0}/<city>/<city>_<sequence>_<frame>"
    "_leftImg8bit.png, and found photographs of {1}. Put them there, or the official zip file with them, or "
    "leave {0} out of the splits."
)
NO_LABELS = (
    "{{place}}: no label maps of split '{0}'. Looked for "
    "{1}/{0}/<city>/<city>_<sequence>_<frame>_{1}_labelIds"
    ".png. Put them there, or the official zip file with them, or leave {0} out of the splits; only test may "
    "be without."
)
NO_CAMVID = (
    "{{place}}: no photographs of split '{0}'. Looked for {0}/<sequence>_<frame>.png, and found "
    "photographs of "
    "{1}. Put them there, or leave {0} out of the splits."
)
INDEX = "{{place}}: minicity.json is not an index of a drawn city ({}). Draw the city anew."
BOTH = ("cityscapes", "minicity")
TEST = {"splits": ("train", "test")}


def without_cities(city: City) -> None:
    """The level of folders that are named after cities is missing."""
    for path in list(city.files):
        top, split, _, name = path.split("/")
        city.move(path, f"{top}/{split}/{name}")


def without_splits(city: City) -> None:
    """All photographs in one folder, all label maps in another."""
    for path in list(city.files):
        city.move(path, f"{path.split('/')[0]}/{path.rsplit('/', 1)[1]}")


def with_label_maps_of_some_of_test(city: City) -> None:
    """Of two photographs of test, one has a label map."""
    for path in list(city.files):
        city.move(path, path.replace("/train/", "/test/"))
    city.photo, city.label = (path.replace("/train/", "/test/") for path in (city.photo, city.label))
    city.drop(city.label)


def index_of(city: City, change) -> None:
    """Changes the index of a drawn city."""
    index = json.loads(city.files["minicity.json"])
    change(index["frames"])
    city.put("minicity.json", json.dumps(index).encode())


def _without_cities() -> list[str]:
    lines = []
    for split, frame in sorted(FRAME_IDS):
        for kind in ("instanceIds", "labelIds"):
            path = f"gtFine/{split}/{frame}_gtFine_{kind}.png"
            lines.append(f"{path}: {NAMING.format(f'gtFine_{kind}')}")
    for split, frame in sorted(FRAME_IDS):
        lines.append(f"leftImg8bit/{split}/{frame}_leftImg8bit.png: {NAMING.format('leftImg8bit')}")
    return lines


CASES = (
    Case(
        "photograph without a label map",
        lambda city: city.drop(city.label),
        one("{photo}: has no label map. Put {label} there, or delete it"),
        ("cityscapes", "camvid"),
    ),
    Case(
        "label map without a photograph",
        lambda city: city.drop(city.photo),
        several(
            "{instance}: is an instance map without a photograph. Put {photo} there, or delete it",
            "{label}: is a label map without a photograph. Put {photo} there, or delete it",
        ),
    ),
    Case(
        "label map without a photograph, CamVid",
        lambda city: city.drop(city.photo),
        one("{label}: is a label map without a photograph. Put {photo} there, or delete it"),
        ("camvid",),
    ),
    Case(
        "instance maps of some",
        lambda city: city.drop(city.instance),
        one(
            "{photo}: has no instance map, and others of its split have one. Put its instance map "
            "there, or delete "
            "all instance maps of the split to do without"
        ),
        BOTH,
    ),
    Case(
        "same name twice",
        lambda city: city.put(city.photo.replace(".png", ".jpg"), city.files[city.photo]),
        several(
            "train/0001TP_000000.jpg: has the id {name}, as {photo} has. Keep one of them",
            "{photo}: has the id {name}, as train/0001TP_000000.jpg has. Keep one of them",
        ),
        ("camvid",),
    ),
    Case(
        "same frame in two folders",
        lambda city: city.put("copy/" + city.photo, city.files[city.photo]),
        several(
            "copy/{photo}: has the id {name}, as {photo} has. Keep one of them",
            "{photo}: has the id {name}, as copy/{photo} has. Keep one of them",
        ),
    ),
    Case(
        "label map twice",
        lambda city: city.put("copy/" + city.label, city.files[city.label]),
        several(
            "copy/{label}: is one of 2 label maps of the same photograph. Keep one of them",
            "{label}: is one of 2 label maps of the same photograph. Keep one of them",
        ),
    ),
    Case(
        "same frame in train and val",
        lambda city: [
            city.put(path.replace("/train/", "/val/"), city.files[path])
            for path in (city.photo, city.label, city.instance)
        ],
        several(
            "{photo}: has the id {name}, as leftImg8bit/val/nordvik/{name}_leftImg8bit.png has. Keep "
            "one of them",
            "leftImg8bit/val/nordvik/{name}_leftImg8bit.png: has the id {name}, as {photo} has. Keep one of "
            "them",
        ),
    ),
    Case(
        "photograph off a camera",
        lambda city: city.put("leftImg8bit/train/nordvik/IMG_0001.png", city.files[city.photo]),
        one("leftImg8bit/train/nordvik/IMG_0001.png: " + NAMING.format("leftImg8bit")),
        BOTH,
    ),
    Case(
        "photograph off a camera, CamVid",
        lambda city: city.put("train/IMG0001.png", city.files[city.photo]),
        one(f"train/IMG0001.png: {CAMVID_NAMING}"),
        ("camvid",),
    ),
    Case(
        "frame of a hundred digits",
        lambda city: city.put(f"train/a_{'1' * 100}.png", b""),
        one(f"train/a_{'1' * 100}.png: {CAMVID_NAMING}"),
        ("camvid",),
    ),
    Case(
        "label map of too few digits",
        lambda city: city.put("gtFine/train/nordvik/nordvik_1_19_gtFine_labelIds.png", b""),
        one("gtFine/train/nordvik/nordvik_1_19_gtFine_labelIds.png: " + NAMING.format("gtFine_labelIds")),
    ),
    Case(
        "photograph in another city's folder",
        lambda city: city.move(city.photo, "leftImg8bit/train/ulm/" + city.photo.rsplit("/", 1)[1]),
        several(
            "{instance}: is an instance map without a photograph. Put {photo} there, or delete it",
            "{label}: is a label map without a photograph. Put {photo} there, or delete it",
            "leftImg8bit/train/ulm/{name}_leftImg8bit.png: " + NAMING.format("leftImg8bit"),
        ),
    ),
    Case("nested folder level missing", without_cities, several(*_without_cities())),
    Case("no split", without_splits, NO_PHOTOGRAPHS.format("train", "no split")),
    Case(
        "empty split",
        lambda city: [city.drop("leftImg8bit/val"), city.drop("gtFine/val")],
        NO_PHOTOGRAPHS.format("val", "train"),
        BOTH,
    ),
    Case(
        "empty split, CamVid",
        lambda city: [city.drop("val/"), city.drop("valannot/")],
        NO_CAMVID.format("val", "train"),
        ("camvid",),
    ),
    Case("empty source", lambda city: city.drop(""), NO_PHOTOGRAPHS.format("train", "no split")),
    Case("photographs alone", lambda city: city.drop("gtFine"), NO_LABELS.format("train", "gtFine"), BOTH),
    Case(
        "photographs alone, CamVid",
        lambda city: [city.drop("trainannot/"), city.drop("valannot/")],
        "{place}: no label maps of split 'train'. Looked for trainannot/<sequence>_<frame>.png. Put "
        "them there, "
        "or leave train out of the splits; only test may be without.",
        ("camvid",),
    ),
    Case(
        "colour maps alone",
        lambda city: [
            city.move(path, path.replace("labelIds", "color").replace("instanceIds", "labelTrainIds"))
            for path in list(city.files)
        ],
        NO_LABELS.format("train", "gtFine"),
    ),
    Case(
        "coarse maps asked for",
        lambda city: None,
        NO_LABELS.format("train", "gtCoarse"),
        settings={"annotation": "coarse"},
    ),
    Case(
        "split that is not there",
        lambda city: None,
        NO_PHOTOGRAPHS.format("test", "train, val"),
        settings=TEST,
    ),
    Case(
        "labels for some of test",
        with_label_maps_of_some_of_test,
        one("{photo}: has no label map. Put {label} there, or delete it"),
        settings={"splits": ("test",)},
    ),
    Case(
        "several datasets",
        lambda city: [city.put("other/" + path, held) for path, held in list(city.files.items())],
        "{place}: several datasets, in the folder itself, other/. Give the folder of one of them.",
        ("camvid",),
    ),
    Case(
        "Cityscapes read as CamVid",
        lambda city: city.drop("minicity.json"),
        NO_CAMVID.format("train", "no split"),
        ("minicity",),
        settings={"layout": "camvid"},
    ),
    Case(
        "CamVid read as Cityscapes",
        lambda city: None,
        NO_PHOTOGRAPHS.format("train", "no split"),
        ("camvid",),
        settings={"layout": "cityscapes"},
    ),
    Case(
        "drawn city without its index",
        lambda city: city.drop("minicity.json"),
        "{place}: 0 files named minicity.json, where a drawn city has one. Draw it with `segspade "
        "minicity`, or "
        "use --layout cityscapes for one without time of day.",
        ("minicity",),
    ),
    Case(
        "two indexes",
        lambda city: city.put("copy/minicity.json", city.files["minicity.json"]),
        "{place}: 2 files named minicity.json, where a drawn city has one. Draw it with `segspade "
        "minicity`, or "
        "use --layout cityscapes for one without time of day.",
        ("minicity",),
    ),
    Case(
        "index that is cut off",
        lambda city: city.put("minicity.json", city.files["minicity.json"][:50]),
        INDEX.format("no JSON"),
        ("minicity",),
    ),
    Case(
        "index of nothing but brackets",
        lambda city: city.put("minicity.json", b"[" * 100_000),
        INDEX.format("no JSON"),
        ("minicity",),
    ),
    Case(
        "index without a frame",
        lambda city: index_of(city, lambda frames: frames.pop(city.name)),
        one("{photo}: is not in minicity.json as a frame of train. Draw the city anew into an empty folder"),
        ("minicity",),
    ),
    Case(
        "index with a frame more",
        lambda city: index_of(
            city, lambda frames: frames.update(elm_000009_000019={"split": "train", "time_of_day": "day"})
        ),
        one(
            "leftImg8bit/train/elm/elm_000009_000019_leftImg8bit.png: is in minicity.json and not in the "
            "source. Draw the city anew"
        ),
        ("minicity",),
    ),
    Case(
        "time of day that is none",
        lambda city: index_of(city, lambda frames: frames[city.name].update(time_of_day="teatime")),
        INDEX.format("there is no time of day 'teatime'"),
        ("minicity",),
    ),
    Case(
        "escape sequence in a name",
        lambda city: city.put("train/\x1b[2J_1.png", city.files[city.photo]),
        one("train/\\x1b[2J_1.png: has a name with a control character in it. Rename it"),
        ("camvid",),
        (FOLDER,),
    ),
    Case(
        "line break in a name",
        lambda city: city.put("train/a\nb_1.png", city.files[city.photo]),
        one(
            "source.zip:'train/a\\nb_1.png': has a name with a control character in it. An official archive "
            "has no such member: download it again from where you trust it"
        ),
        ("camvid",),
        (ZIP,),
    ),
    Case(
        "zip in a zip",
        lambda city: setattr(city, "files", {"inner.zip": zip_of(city.files)}),
        NO_PHOTOGRAPHS.format("train", "no split"),
        ways=(ZIP,),
    ),
)
