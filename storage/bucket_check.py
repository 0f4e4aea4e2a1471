"""Whether an artifact in a bucket is still what was committed; every byte is read there, and none kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from storage.check import OnBytes, Problem
from storage.errors import DamagedArtifact
from storage.manifest import NAME, FileRecord
from storage.mirror import Mirror
from storage.refs import ArtifactRef

_AT_ONCE = 4  # each holds a block of some megabytes


def problems_in_bucket(
    mirror: Mirror, ref: ArtifactRef, quick: bool = False, on_bytes: OnBytes | None = None
) -> Iterator[Problem]:
    """As `check.find_problems`, of the objects of one artifact; `quick`: of their sizes alone."""
    folder = mirror.folder(ref)
    try:
        manifest = mirror.manifest(ref)
    except DamagedArtifact:
        yield Problem(ref, NAME, "altered")
        return
    if manifest.ref != ref:
        yield Problem(ref, NAME, f"is the manifest of {manifest.ref}")
        return
    sizes = _sizes(mirror, folder)

    def look(record: FileRecord) -> str | None:
        what = _size_problem(sizes, record)
        if what is None and quick and on_bytes is not None:
            on_bytes(record.bytes)
        return what or (None if quick else _content_problem(mirror, folder, record, on_bytes))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for record, what in zip(manifest.files, pool.map(look, manifest.files), strict=True):
            if what is not None:
                yield Problem(ref, record.path, what)
    for name in sorted(sizes.keys() - {record.path for record in manifest.files} - {NAME}):
        yield Problem(ref, name, "not a file of this artifact")


def check_sizes_in_bucket(mirror: Mirror, ref: ArtifactRef, under: str = "") -> None:
    """As `check.check_sizes`, of the objects."""
    folder = mirror.folder(ref)
    sizes = _sizes(mirror, folder)
    for record in mirror.manifest(ref).files:
        if record.path.startswith(under) and (what := _size_problem(sizes, record)):
            raise DamagedArtifact(
                f"{mirror.shown(folder / record.path)}: {what}. {mirror.how_to_mend(folder)}"
            )


def _sizes(mirror: Mirror, folder: Path) -> dict[str, int]:
    above = mirror.name(folder) + "/"
    return {entry.name.removeprefix(above): entry.bytes for entry in mirror.entries(folder)}


def _size_problem(sizes: dict[str, int], record: FileRecord) -> str | None:
    size = sizes.get(record.path)
    if size is None:
        return "missing"
    return None if size == record.bytes else f"altered: {size} bytes, {record.bytes} when it was committed"


def _content_problem(
    mirror: Mirror, folder: Path, record: FileRecord, on_bytes: OnBytes | None
) -> str | None:
    digest = hashlib.sha256()
    try:
        for block in mirror.bucket.blocks(mirror.name(folder / record.path)):
            digest.update(block)
            if on_bytes is not None:
                on_bytes(len(block))
    except FileNotFoundError:
        return "missing"
    return None if digest.hexdigest() == record.sha256 else "altered"
