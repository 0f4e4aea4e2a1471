"""Whether a committed artifact is still what was committed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from storage.errors import DamagedArtifact
from storage.files import files_under, sha256_file
from storage.manifest import NAME, FileRecord, how_to_mend, read_manifest
from storage.mirror import mirror_of
from storage.refs import ArtifactRef
from storage.shard_index import ARRAY, index_problem, shard_of

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Problem:
    """One file of an artifact that is not as it was committed; `file` is relative to the artifact."""

    ref: ArtifactRef
    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.ref}/{self.file}: {self.what}"


@dataclass(frozen=True)
class _File:
    """A file that is to be looked at."""

    ref: ArtifactRef
    folder: Path
    record: FileRecord
    is_shard: bool


def find_problems(
    artifacts: Iterable[tuple[ArtifactRef, Path]], *, quick: bool = False, on_bytes: OnBytes | None = None
) -> Iterator[Problem]:
    """Look at every file of artifacts on all cores, and tell what is missing, altered or too many.

    Memory does not grow with the artifacts: of each file a block is held, and few files are looked at ahead.

    Args:
        artifacts: each with its folder.
        quick: read only manifests, the description of arrays and the indexes of shards, and compare sizes.
        on_bytes: told, from several threads, of how many bytes were looked at since it was told last.

    Yields:
        Problems in the order of the artifacts and of their files. An artifact that was deleted meanwhile has
        none.
    """

    def look(item: Problem | _File) -> Problem | None:
        return item if isinstance(item, Problem) else _problem_of(item, quick, on_bytes)

    items = (item for ref, folder in artifacts for item in _items(ref, folder))
    folders: dict[Path, bool] = {}
    for item, problem in _on_all_cores(look, items):
        if problem is None:
            continue
        if isinstance(item, _File) and not folders.setdefault(item.folder, (item.folder / NAME).exists()):
            continue
        yield problem


def problems_of(ref: ArtifactRef, folder: Path, *, quick: bool = False) -> Iterator[Problem]:
    """`find_problems` of one artifact."""
    return find_problems([(ref, folder)], quick=quick)


def check_sizes(folder: Path, under: str = "") -> None:
    """Raise DamagedArtifact naming a file that begins with `under` and is missing or of another size.

    In a mirror: an object, for files are fetched when they are read.
    """
    mirror = mirror_of(folder)
    if mirror is not None:
        from storage.bucket_check import check_sizes_in_bucket

        check_sizes_in_bucket(mirror, read_manifest(folder / NAME).ref, under)
        return
    for record in read_manifest(folder / NAME).files:
        if record.path.startswith(under) and (what := _size_problem(folder, record)):
            raise DamagedArtifact(f"{folder / record.path}: {what}. {how_to_mend(folder)}")


def _items(ref: ArtifactRef, folder: Path) -> Iterator[Problem | _File]:
    """What the manifest lists, and what is wrong without a look into any file of it."""
    try:
        manifest = read_manifest(folder / NAME)
    except FileNotFoundError:
        return
    except (DamagedArtifact, OSError):
        yield Problem(ref, NAME, "altered")
        return
    if manifest.ref != ref:
        yield Problem(ref, NAME, f"is the manifest of {manifest.ref}")
        return
    expected = {record.path for record in manifest.files} | {NAME}
    for record in manifest.files:
        array, _ = shard_of(record.path)
        yield _File(ref, folder, record, is_shard=f"{array}/{ARRAY}" in expected)
    for path in files_under(folder):
        name = path.relative_to(folder).as_posix()
        if name not in expected:
            yield Problem(ref, name, "not a file of this artifact")


def _problem_of(file: _File, quick: bool, on_bytes: OnBytes | None) -> Problem | None:
    path = file.folder / file.record.path
    what = _size_problem(file.folder, file.record)
    try:
        if what is None and (not quick or path.name == ARRAY):
            digest = sha256_file(path, from_disk=True, on_bytes=on_bytes)
            what = None if digest == file.record.sha256 else "altered"
        elif what is None:
            what = index_problem(file.folder, file.record.path) if file.is_shard else None
            if on_bytes is not None:
                on_bytes(file.record.bytes)
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    return None if what is None else Problem(file.ref, file.record.path, what)


def _size_problem(folder: Path, record: FileRecord) -> str | None:
    try:
        size = (folder / record.path).stat().st_size
    except OSError:
        return "missing"
    return None if size == record.bytes else f"altered: {size} bytes, {record.bytes} when it was committed"


def _on_all_cores(
    function: Callable[[Problem | _File], Problem | None], items: Iterable[Problem | _File]
) -> Iterator[tuple[Problem | _File, Problem | None]]:
    """Each item with what the function makes of it, in order; digests are taken outside of Python's lock."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ahead: deque[tuple[Problem | _File, Future[Problem | None]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for item in items:
            ahead.append((item, pool.submit(function, item)))
            if len(ahead) > 8 * cores:
                item, future = ahead.popleft()
                yield item, future.result()
        while ahead:
            item, future = ahead.popleft()
            yield item, future.result()
