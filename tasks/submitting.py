"""Write predicted label maps for the Cityscapes server. Needs no Prefect."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segspade_core.datasets.submission import LAYOUTS, submission_name, submission_png
from segspade_core.errors import InputError
from storage.arrays import open_split
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.progress import progress
from tasks.splits import read_rows

_BATCH = 16


@dataclass(frozen=True)
class Submission:
    """What was written: so many maps of a split, of so many frames that the dataset has of it."""

    split: str
    written: int
    frames: int


def write_submission(workspace: Path, ref: ArtifactRef, out: Path) -> Submission:
    """Write every map of `ref` into the folder `out`, which is there when all of them are, and not before.

    Maps are brought to 1024x2048 by nearest neighbour: fine detail that the segmenter did not see at the size
    it ran at does not come back. For the best score ingest at that size.

    Raises:
        InputError: `ref` holds no maps that were predicted from photographs of Cityscapes, or `out` holds
            something already, or cannot be written.
        DamagedArtifact: a file is missing or altered.
    """
    store = Store(workspace)
    split, frames = _split_of(store, ref)
    store.check_files(ref)
    label_ids = open_split(store.path(ref) / f"{split}.zarr")["label_ids"]
    ids = [str(id) for id in read_rows(workspace, ref, split)["id"]]
    names = [submission_name(id) for id in ids]
    with (
        _folder_made_whole(out) as folder,
        progress(f"submit {split}", len(ids)) as bar,
        ThreadPoolExecutor() as pool,
    ):

        def write(row: int, ids_of_row: Any) -> None:
            (folder / names[row]).write_bytes(submission_png(ids_of_row, ids[row]))
            bar.advance()

        for start in range(0, len(ids), _BATCH):
            rows = range(start, min(start + _BATCH, len(ids)))
            list(pool.map(write, rows, label_ids[rows.start : rows.stop]))
    return Submission(split, len(ids), frames)


def _split_of(store: Store, ref: ArtifactRef) -> tuple[str, int]:
    """The split that the maps are of, and how many frames the dataset has of it."""
    images = store.manifest(ref).input_refs.get("images") if ref.kind == "label_maps" else None
    if images is None or images.kind != "dataset":
        what = f"maps of painted images ({images})" if images is not None else "no predicted label maps"
        raise InputError(
            f"{ref} holds {what}; submit label_maps that `segspade segment` made of a dataset's photographs"
        )
    dataset = store.manifest(images)
    layout = dataset.config.get("layout")
    if layout not in LAYOUTS:
        raise InputError(
            f"{ref} holds maps of {images}, whose layout is '{layout}'; the server takes those of Cityscapes"
        )
    split = str(store.manifest(ref).config["split"])
    return split, int(dataset.counts.get(split, 0))


@contextmanager
def _folder_made_whole(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` at the end; what goes wrong before leaves nothing behind."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: there is something already; give a folder that is new or empty")
    staging = out.absolute().with_name(f".{out.absolute().name}.{os.getpid()}.part")
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{out}: cannot write there ({error.strerror}); give another folder") from error
    try:
        yield staging
        try:
            os.replace(staging, out.absolute())
        except OSError as error:
            raise InputError(
                f"{out}: there is something by now ({error.strerror}); nothing was put"
            ) from error
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
