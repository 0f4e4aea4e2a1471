"""Artifacts copied between workspaces, with what they were made from.

A copy is the artifact itself: its manifest and every byte of it, under the same key. It is put into staging
as a stage's work is, and committed by its manifest last, so a copy that was cut short goes on where it was.
Every file is compared with its digest as it is read, and once more before the manifest is put.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from storage.errors import DamagedArtifact, MissingArtifact, StorageError
from storage.locks import OnWait
from storage.manifest import FileRecord, Manifest, how_to_mend
from storage.refs import ArtifactRef
from storage.staging import Staging
from storage.store import Store

_AT_ONCE = 4  # files, each of which is held in memory whole: a shard, or the weights of a model


@dataclass(frozen=True)
class Move:
    """What copying artifacts to a workspace means; see `plan_move`."""

    copied: tuple[Manifest, ...]  # to be copied, each after what it was made from
    kept: tuple[ArtifactRef, ...]  # the other workspace has it
    differing: tuple[Manifest, ...]  # the other workspace has it with other contents: its manifest there
    lost: tuple[ArtifactRef, ...]  # was deleted where it would be copied from

    @property
    def bytes(self) -> int:
        """Of all files that are to be copied."""
        return sum(record.bytes for manifest in self.copied for record in manifest.files)


def plan_move(source: Store, target: Store, refs: Iterable[ArtifactRef], *, alone: bool = False) -> Move:
    """What is to be copied so that `target` has the artifacts; nothing is written.

    Args:
        source: where they are.
        target: where they shall be.
        refs: the artifacts.
        alone: without what they were made from.

    Raises:
        MissingArtifact: one of `refs` is not in `source`.
        DamagedArtifact: a manifest was altered, or `target` lacks a file of what it has.
    """
    asked = list(dict.fromkeys(refs))
    wanted = dict.fromkeys(asked if alone else (ref for each in asked for ref in source.lineage(each)))
    copied: list[Manifest] = []
    kept: list[ArtifactRef] = []
    differing: list[Manifest] = []
    lost: list[ArtifactRef] = []
    for ref in wanted:
        if ref not in asked and not source.exists(ref):
            lost.append(ref)
            continue
        manifest = source.manifest(ref)
        if not target.exists(ref):
            copied.append(manifest)
            continue
        there = target.manifest(ref)
        target.check_files(ref)
        if _contents(there) == _contents(manifest):
            kept.append(ref)
        else:
            differing.append(there)
    return Move(tuple(copied), tuple(kept), tuple(differing), tuple(lost))


def _contents(manifest: Manifest) -> dict[str, FileRecord]:
    return {record.path: record for record in manifest.files}


def move(
    source: Store,
    target: Store,
    manifests: Sequence[Manifest],
    *,
    on_bytes: Callable[[int], None] | None = None,
    on_wait: OnWait | None = None,
    on_done: Callable[[Manifest], None] | None = None,
) -> None:
    """Copy artifacts, in this order.

    Args:
        source: where they are.
        target: where they shall be.
        manifests: theirs, from `source`.
        on_bytes: told, from several threads, how many bytes more are in `target`.
        on_wait: told who is making one of them in `target`, which is waited for.
        on_done: told of each artifact that is there.

    Raises:
        DamagedArtifact: a file is missing or altered in `source`; the message names it.
        StorageError: `target` cannot be written to, or files in it were altered meanwhile.
    """
    for manifest in manifests:
        with target.writer(manifest.ref, on_wait, copying=manifest) as staging:
            if staging is None:  # another process was faster
                _tell(on_bytes, sum(record.bytes for record in manifest.files))
            else:
                _copy(source, manifest, staging, on_bytes)
                staging.commit_copy(manifest)
        if on_done is not None:
            on_done(manifest)


def _copy(
    source: Store, manifest: Manifest, staging: Staging, on_bytes: Callable[[int], None] | None
) -> None:
    staged = staging.staged()

    def bring(record: FileRecord) -> None:
        if staged.get(record.path) != record.bytes:
            staging.put(record, _content(source, manifest.ref, record))
        _tell(on_bytes, record.bytes)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(bring, manifest.files))


def _content(store: Store, ref: ArtifactRef, record: FileRecord) -> bytes:
    """A file as it was committed. What lies in a bucket is not kept in the mirror."""
    path = store.folder(ref) / record.path
    try:
        content = path.read_bytes() if store.mirror is None else store.mirror.read(path)
    except FileNotFoundError:
        content = None
    if content is not None and hashlib.sha256(content).hexdigest() == record.sha256:
        return content
    if not store.exists(ref):
        raise MissingArtifact(f"{ref} was deleted from {store.where} while it was copied")
    folder = store.folder(ref)
    mend = how_to_mend(folder) if store.mirror is None else store.mirror.how_to_mend(folder)
    what = "missing" if content is None else "altered"
    raise DamagedArtifact(f"{store.shown(ref)}/{record.path}: {what}. {mend}")


def _tell(on_bytes: Callable[[int], None] | None, count: int) -> None:
    if on_bytes is not None:
        on_bytes(count)


def check_apart(source: Store, target: Store) -> None:
    """See that two workspaces are not one, and neither lies in the other.

    Raises:
        StorageError: they are, or it does.
    """
    from_root, to_root = source.root.resolve(), target.root.resolve()
    if from_root == to_root:
        raise StorageError(f"{target.where}: is the very workspace that would be copied from; name another")
    if to_root.is_relative_to(from_root) or from_root.is_relative_to(to_root):
        raise StorageError(f"{target.where}: one workspace must not lie in another; name another folder")
