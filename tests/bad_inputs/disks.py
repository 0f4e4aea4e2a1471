"""What only a disk can hold: links, pipes, files without rights, places that are no source."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bad_inputs.corpus import FOLDER, Case, one, several, unchanged
from bad_inputs.good import LAYOUTS, City
from bad_inputs.names import NO_PHOTOGRAPHS

HERE = "Put the file itself there"
# what is missing then: the first photograph
GONE = (
    "{instance}: is an instance map without a photograph. Put {photo} there, or delete it",
    "{label}: is a label map without a photograph. Put {photo} there, or delete it",
)


def link_photo(target: str):
    """Puts a link in the place of the first photograph."""

    def change(place: Path, city: City) -> None:
        (place.parent / "outside.png").write_bytes(city.files[city.photo])
        (place / city.photo).unlink()
        (place / city.photo).symlink_to(target)

    return change


def instead(make):
    """Puts something else where the source lies."""

    def change(place: Path, _city: City) -> None:
        shutil.rmtree(place)
        make(place)

    return change


def pipe_for_photo(place: Path, city: City) -> None:
    """A named pipe: whoever reads it waits for a writer."""
    (place / city.photo).unlink()
    os.mkfifo(place / city.photo)


def name_that_is_not_unicode(place: Path, city: City) -> None:
    """As an old machine spelled it."""
    (place / os.fsdecode(b"train/\xe9_1.png")).write_bytes(city.files[city.photo])


def too_deep(place: Path, _city: City) -> None:
    """Folders in folders, until a path is longer than the system takes."""
    here = os.open(place, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


CASES = (
    Case(
        "no such place",
        unchanged,
        "{place}: there is no such file or folder. Give the dataset's folder or zip file.",
        LAYOUTS,
        (FOLDER,),
        instead(lambda place: None),
    ),
    Case(
        "text for a source",
        unchanged,
        "{place}: is not a whole zip file. Give a dataset's folder, or a zip file that is whole.",
        LAYOUTS,
        (FOLDER,),
        instead(lambda place: place.write_text("not a zip")),
    ),
    Case(
        "empty file for a source",
        unchanged,
        "{place}: is not a whole zip file. Give a dataset's folder, or a zip file that is whole.",
        ways=(FOLDER,),
        on_disk=instead(lambda place: place.touch()),
    ),
    Case(
        "pipe for a source",
        unchanged,
        "{place}: is not an ordinary file. Give a dataset's folder, or a zip file that is whole.",
        ways=(FOLDER,),
        on_disk=instead(os.mkfifo),
    ),
    Case(
        "link that goes in a circle for a source",
        unchanged,
        "{place}: there is no such file or folder. Give the dataset's folder or zip file.",
        ways=(FOLDER,),
        on_disk=instead(lambda place: place.symlink_to(place.name)),
    ),
    Case(
        "empty folder",
        unchanged,
        NO_PHOTOGRAPHS.format("train", "no split"),
        ways=(FOLDER,),
        on_disk=instead(Path.mkdir),
    ),
    Case(
        "link to itself",
        unchanged,
        several(*GONE, f"{{photo}}: is a symbolic link to nothing. {HERE}"),
        ways=(FOLDER,),
        on_disk=lambda place, city: link_photo(Path(city.photo).name)(place, city),
    ),
    Case(
        "link to nothing",
        unchanged,
        several(*GONE, f"{{photo}}: is a symbolic link to nothing. {HERE}"),
        ways=(FOLDER,),
        on_disk=link_photo("gone.png"),
    ),
    Case(
        "link that leaves the source",
        unchanged,
        several(*GONE, f"{{photo}}: is a symbolic link that leaves the source. {HERE}"),
        ways=(FOLDER,),
        on_disk=link_photo("../../../../outside.png"),
    ),
    Case(
        "loop of folders",
        unchanged,
        one("train/again: is a symbolic link to a folder. Put the folder itself there"),
        ("camvid",),
        (FOLDER,),
        lambda place, _: (place / "train/again").symlink_to(".."),
    ),
    Case(
        "pipe for a photograph",
        unchanged,
        several(*GONE, "{photo}: is not an ordinary file. Put a file with the image there, or delete it"),
        ways=(FOLDER,),
        on_disk=pipe_for_photo,
    ),
    Case(
        "unreadable file",
        unchanged,
        one("{photo}: may not be read. Give yourself the right to read it"),
        LAYOUTS,
        (FOLDER,),
        lambda place, city: (place / city.photo).chmod(0),
        unreadable=True,
    ),
    Case(
        "name that is not Unicode",
        unchanged,
        one("train/\\udce9_1.png: has a name that is not Unicode. Rename it"),
        ("camvid",),
        (FOLDER,),
        name_that_is_not_unicode,
    ),
    Case(
        "folders too deep",
        unchanged,
        one(
            f"{'d' * 80}…: lies in more folders than the system can look "
            "through. Move it up, or out of the source"
        ),
        ways=(FOLDER,),
        on_disk=too_deep,
    ),
    Case(
        "zip file that is a pipe",
        unchanged,
        one("more.zip: is not an ordinary file. Give a folder or a zip file"),
        ways=(FOLDER,),
        on_disk=lambda place, _: os.mkfifo(place / "more.zip"),
    ),
)
