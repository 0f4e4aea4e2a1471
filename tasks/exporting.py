"""Take an artifact out of the store: samples as PNG, everything else as the files it is. Needs no Prefect."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segspade_core.errors import InputError
from segspade_core.figures.panels import overlay
from segspade_core.labels import ids_to_colours
from storage.arrays import SplitArrays, open_split
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table
from tasks.progress import progress
from tasks.splits import splits_in

_BATCH = 16
Put = tuple[Path, Callable[[], bytes]]


def export_artifact(workspace: Path, ref: ArtifactRef, out: Path, splits: Sequence[str] | None = None) -> int:
    """Write an artifact's content below `out`, each file whole or not at all.

    Photographs and painted images become `<split>/image/<id>.png`; label maps `<split>/label_ids/<id>.png`
    (8 bit, one id a pixel), `<split>/colour/` and, over the photographs they were predicted from,
    `<split>/overlay/`; instance ids 16-bit PNG; confidences grey PNG, 255 where sure. Other artifacts are
    copied as they are, with their manifest.

    Returns:
        The number of files written.

    Raises:
        InputError: `splits` names one that the artifact has not, or `out` cannot be written.
        DamagedArtifact: a file is missing or altered.
    """
    store = Store(workspace)
    store.check_files(ref)
    folder = store.path(ref)
    there = splits_in(folder)
    unknown = sorted(set(splits or ()) - set(there))
    if unknown:
        raise InputError(f"{ref} has no split {', '.join(unknown)}; it has {', '.join(there) or 'none'}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot write there ({error.strerror}); give another folder") from error
    if not there:
        return _copy(folder, out)
    return sum(
        _export_split(store, ref, split, out / split) for split in there if not splits or split in splits
    )


def _copy(folder: Path, out: Path) -> int:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        target = out / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return len(files)


def _export_split(store: Store, ref: ArtifactRef, split: str, out: Path) -> int:
    folder = store.path(ref)
    arrays = open_split(folder / f"{split}.zarr")
    ids = read_table(folder / f"{split}.samples.parquet")["id"].tolist()
    photographs = _photographs(store, ref, split)
    count = 0
    with progress(f"export {split}", len(ids)) as bar, ThreadPoolExecutor() as pool:
        for start in range(0, len(ids), _BATCH):
            puts = list(_sample_files(arrays, photographs, ids, start, out))
            count += sum(pool.map(lambda put: put_bytes(put[0], put[1]()) is None, puts))
            bar.advance(min(_BATCH, len(ids) - start))
    return count


def _sample_files(
    arrays: SplitArrays, photographs: Any, ids: list[str], start: int, out: Path
) -> Iterator[Put]:
    stop = min(start + _BATCH, len(ids))
    batch = {name: arrays[name][start:stop] for name in arrays}
    under = photographs[start:stop] if photographs is not None else None
    for row, sample_id in enumerate(ids[start:stop]):
        name = f"{sample_id}.png"
        if "image" in batch:
            yield out / "image" / name, _png(batch["image"][row])
        if "label_ids" in batch:
            label_ids = batch["label_ids"][row]
            colours = ids_to_colours(label_ids)
            yield out / "label_ids" / name, _png(label_ids)
            yield out / "colour" / name, _png(colours)
            if under is not None:
                yield out / "overlay" / name, _png(overlay(under[row], label_ids))
        if "instance_ids" in batch:
            yield out / "instance_ids" / name, _png(batch["instance_ids"][row])
        if "confidence" in batch:
            yield out / "confidence" / name, _png(batch["confidence"][row])


def _png(pixels: np.ndarray[Any, Any]) -> Callable[[], bytes]:
    def encode() -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
        return buffer.getvalue()

    return encode


def _photographs(store: Store, ref: ArtifactRef, split: str) -> Any:
    """The images that an artifact's label maps lie over: its own, or those they were predicted from."""
    at: ArtifactRef | None = ref
    while at is not None and store.exists(at):
        path = store.path(at) / f"{split}.zarr"
        if path.exists() and "image" in open_split(path):
            return open_split(path)["image"]
        above = store.manifest(at).inputs.get("images")
        kind, _, key = (above or "").partition("/")
        at = ArtifactRef(kind=kind, key=key) if above else None
    return None
