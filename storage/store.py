"""Artifacts in a workspace: made in staging, committed once, never changed again.

    artifacts/<kind>/<key>/   committed; what has no manifest.json does not exist
    staging/<kind>/<key>/     being made; a run that died goes on here
    aliases/<kind>/<name>.json
    locks/<kind>-<key>.lock   one writer a key

A folder with a remote.json in it is the mirror of a workspace in a bucket, which is laid out alike: see
`storage.mirror`. What there is, the bucket says.

Nothing heavy is imported here: commands that only read answer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from storage import garbage, names
from storage.check import OnBytes, Problem, check_sizes, find_problems
from storage.errors import MissingArtifact, StorageError
from storage.files import (
    bytes_under,
    discard,
    files_under,
    folders_in,
    make_folder,
    move_into,
    remove,
    remove_if_empty,
    sync_folders,
)
from storage.garbage import GcItem, GcPlan
from storage.locks import Lock, OnWait, describe, is_held, owner
from storage.manifest import NAME, Manifest, read_manifest
from storage.mirror import mirror_in
from storage.refs import KINDS, ArtifactRef
from storage.space import telling_when_full
from storage.staging import Staging

if TYPE_CHECKING:
    from storage.leases import Lease

__all__ = ["GcItem", "GcPlan", "Problem", "Staging", "Store"]


class Store:
    """The artifacts of one workspace. Cheap to make; nothing is written before a writer is opened."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.mirror = mirror_in(self.root)

    @property
    def where(self) -> str:
        """How a person calls the workspace: its folder or its URL."""
        return str(self.root) if self.mirror is None else self.mirror.url

    def path(self, ref: ArtifactRef) -> Path:
        """Where the artifact's files lie once it is committed.

        In a mirror all of them but the shards of arrays are fetched by that; a shard is when it is read.
        """
        if self.mirror is not None and self.exists(ref):
            self.mirror.fetch(ref)
        return self.folder(ref)

    def folder(self, ref: ArtifactRef) -> Path:
        """As `path`, and nothing is fetched."""
        return self.root / "artifacts" / ref.kind / ref.key

    def shown(self, ref: ArtifactRef) -> str:
        """Where a person finds the artifact: its folder, or its URL."""
        return str(self.folder(ref)) if self.mirror is None else self.mirror.shown(self.folder(ref))

    def shown_path(self, path: Path) -> str:
        """As `shown`, of a file or folder of the workspace."""
        return str(path) if self.mirror is None else self.mirror.shown(path)

    def staging_path(self, ref: ArtifactRef) -> Path:
        """Where the artifact's files are put until it is committed."""
        return self.root / "staging" / ref.kind / ref.key

    def lock_path(self, ref: ArtifactRef) -> Path:
        """The file whose lock the artifact's writer holds."""
        return self.root / "locks" / f"{ref.kind}-{ref.key}.lock"

    def exists(self, ref: ArtifactRef) -> bool:
        """Whether it is committed. Does not look at its files: see `check_files` and `verify`."""
        if self.mirror is not None:
            return self.mirror.exists(ref)
        return (self.folder(ref) / NAME).is_file()

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """What the artifact says of itself.

        Raises:
            MissingArtifact: it is not committed.
            DamagedArtifact: the manifest was altered.
        """
        try:
            if self.mirror is not None:
                return self.mirror.manifest(ref)
            return read_manifest(self.folder(ref) / NAME)
        except FileNotFoundError:
            raise MissingArtifact(
                f"{ref} is not in {self.where}; run the stage that makes it, or see `segspade artifacts list`"
            ) from None

    def refs(self, kind: str | None = None) -> list[ArtifactRef]:
        """Every committed artifact, sorted by kind (in the order of the journey) and key."""
        kinds = [each for each in KINDS if kind in (None, each)]
        refs = [ref for each in kinds for ref in self.refs_in("artifacts", each)]
        with ThreadPoolExecutor(8) as pool:  # a bucket takes its time for each
            return [ref for ref, there in zip(refs, pool.map(self.exists, refs), strict=True) if there]

    def resolve(self, text: str, kinds: Sequence[str] = ()) -> ArtifactRef:
        """The artifact that a person means by 'kind/key', 'kind/alias', the beginning of a key, or an alias.

        Args:
            text: what the person typed; of a key, 4 digits or more.
            kinds: only these kinds will do; empty: any.

        Raises:
            MissingArtifact: nothing is called so, or several are; the message lists what comes near.
        """
        return names.resolve(self, text, kinds)

    def lineage(self, ref: ArtifactRef) -> list[ArtifactRef]:
        """All that the artifact was made from, each after what it was made from, and itself last.

        An ancestor that was deleted is in the list; what it was made from cannot be told any more.
        """
        order: dict[ArtifactRef, None] = {}

        def visit(at: ArtifactRef) -> None:
            if at in order:
                return
            if self.exists(at):
                for above in self.manifest(at).input_refs.values():
                    visit(above)
            order[at] = None

        visit(ref)
        return list(order)

    def reached_by(self, ref: ArtifactRef) -> list[str]:
        """Aliases and reports that mean the artifact, or were made from it; as 'kind/name' or 'kind/key'.

        Raises:
            DamagedArtifact: a manifest cannot be read, so that what it reaches cannot be told.
        """
        return garbage.reached_by(self, ref)

    def check_files(self, ref: ArtifactRef) -> None:
        """See at little cost that every file is there and has its size.

        Raises:
            MissingArtifact: the artifact is not committed.
            DamagedArtifact: a file is not as it was committed; the message names it.
        """
        self.manifest(ref)
        check_sizes(self.folder(ref))

    def verify(
        self, ref: ArtifactRef | None = None, *, quick: bool = False, on_bytes: OnBytes | None = None
    ) -> list[Problem]:
        """Read every file of one artifact, or of all, and compare digests; extra files are problems too.

        Args:
            ref: this artifact alone.
            quick: look at sizes and at the indexes of shards only.
            on_bytes: told, from several threads, how many bytes more were looked at.
        """
        if ref is not None and not self.exists(ref):
            self.manifest(ref)
        chosen = self.refs() if ref is None else [ref]
        if self.mirror is not None:
            from storage.bucket_check import problems_in_bucket

            mirror = self.mirror
            return [
                problem for each in chosen for problem in problems_in_bucket(mirror, each, quick, on_bytes)
            ]
        found = find_problems(((each, self.folder(each)) for each in chosen), quick=quick, on_bytes=on_bytes)
        return list(found)

    def lock(self, ref: ArtifactRef, on_wait: OnWait | None = None) -> Lock | Lease:
        """The lock on an artifact's key, to be entered."""
        if self.mirror is None:
            return Lock(self.lock_path(ref), str(ref), on_wait)
        from storage.leases import Lease

        return Lease(self.mirror, self.lock_path(ref), str(ref), on_wait)

    def held(self) -> dict[ArtifactRef, str]:
        """The artifacts that are being made or deleted at this moment, and by whom."""
        if self.mirror is not None:
            from storage.leases import held

            found = held(self.mirror)
        else:
            paths = (self.root / "locks").glob("*-*.lock")
            found = {str(path): describe(owner(path)) for path in sorted(paths) if is_held(path)}
        pairs = ((Path(name).stem.rpartition("-"), who) for name, who in found.items())
        return {
            ArtifactRef.model_validate({"kind": kind, "key": key}): who
            for (kind, _, key), who in pairs
            if kind in KINDS
        }

    @contextmanager
    def writer(
        self,
        ref: ArtifactRef,
        on_wait: Callable[[str], None] | None = None,
        copying: Manifest | None = None,
    ) -> Iterator[Staging | None]:
        """Hold the artifact's lock and make it.

        Args:
            ref: what is to be made.
            on_wait: told who makes it, when another process does; then this one waits.
            copying: it is not made but copied, and this is its manifest where it is copied from.

        Yields:
            The staging folder, with what a run that died left in it, or a copy that was cut short; never with
            both. None when the artifact is committed, by another while this one waited or earlier. Left
            without a commit, the folder stays for the next, unless nothing was put into it.

        Raises:
            DiskFull: there is no room, here or in what is done with the folder.
        """
        with telling_when_full(self.staging_path(ref)), self.lock(ref, on_wait) as lock:
            if self.exists(ref):
                self.delete(self.staging_path(ref))
                yield None
                return
            try:
                staging = self._resume(ref, lock)
                if staging.copied() != (None if copying is None else copying.to_bytes()):
                    self.discard_staged(ref)
                    staging = self._resume(ref, lock)
                    if copying is not None:
                        staging.begin_copy(copying)
                yield staging
            finally:
                # a stage that was refused leaves nothing behind
                remove_if_empty(self.staging_path(ref))

    def discard_staged(self, ref: ArtifactRef) -> None:
        """Take away what is staged of an artifact; for those who hold its lock."""
        self.delete(self.staging_path(ref))

    def remove(self, ref: ArtifactRef) -> None:
        """Delete an artifact: it vanishes at once, its files after that.

        Raises:
            MissingArtifact: it is not committed.
        """
        if not self.exists(ref):
            raise MissingArtifact(f"{ref} is not in {self.where}")
        with self.lock(ref):
            self.delete_unlocked(ref)

    def delete_unlocked(self, ref: ArtifactRef) -> None:
        """Delete committed files; for those who hold the lock."""
        folder = self.folder(ref)
        if self.mirror is not None:
            self.mirror.remove(folder)
        elif folder.exists():
            discard(folder)

    def gc_plan(self, keep_last: int = 0, before: datetime | None = None) -> GcPlan:
        """What no alias and no report reaches, and what dead runs left; nothing is deleted.

        Args:
            keep_last: of each kind and stage, so many of those made last stay, with what they were made from.
            before: only what was made before this moment (with a time zone), or last written to.

        Raises:
            DamagedArtifact: a manifest cannot be read, so that what it reaches cannot be told.
        """
        return garbage.plan(self, keep_last, before)

    def gc(self, plan: GcPlan) -> list[GcItem]:
        """Delete what a plan lists, but for what is reached or in work by now.

        Returns:
            What was deleted.

        Raises:
            StorageError: an artifact is being made, and may need what the plan would delete.
        """
        return garbage.collect(self, plan)

    def refs_in(self, area: str, kind: str) -> list[ArtifactRef]:
        """What has a folder in 'artifacts' or 'staging', committed or not, sorted by key."""
        return list(_refs_of(self.folders_in(self.root / area / kind), kind))

    def folders_in(self, folder: Path) -> list[Path]:
        """The folders directly in a folder of the workspace, on the disk or in the bucket."""
        return folders_in(folder) if self.mirror is None else self.mirror.folders_in(folder)

    def has(self, folder: Path) -> bool:
        """Whether a folder of the workspace is there; in a bucket: whether any object is below it, for some
        servers list folders that are empty by now."""
        return folder.exists() if self.mirror is None else bool(self.mirror.entries(folder))

    def bytes_under(self, folder: Path) -> int:
        """What the files below a folder of the workspace take, on the disk or in the bucket."""
        return bytes_under(folder) if self.mirror is None else self.mirror.bytes_under(folder)

    def changed(self, folder: Path) -> datetime:
        """When the last of what is in a folder of the workspace was written."""
        if self.mirror is not None:
            return max(entry.changed for entry in self.mirror.entries(folder))
        times = [each.stat().st_mtime for each in (folder, *files_under(folder))]
        return datetime.fromtimestamp(max(times), UTC)

    def delete(self, folder: Path) -> None:
        """Take a file or folder of the workspace away, on the disk and in the bucket."""
        if self.mirror is None:
            remove(folder)
        else:
            self.mirror.remove(folder)

    def _resume(self, ref: ArtifactRef, lock: Lock | Lease) -> Staging:
        """The staging folder, with what is in it."""
        if self.mirror is None:
            self._take_back(ref)
            return Staging(ref, self.staging_path(ref), self.folder(ref), lock)
        from storage.bucket_staging import BucketStaging, resume
        from storage.leases import Lease

        assert isinstance(lock, Lease)
        remove(self.folder(ref))  # what was fetched of it before somebody deleted it
        resume(self.mirror, ref, self.staging_path(ref))
        return BucketStaging(ref, self.staging_path(ref), self.mirror, lock)

    def _take_back(self, ref: ArtifactRef) -> None:
        """Bring back what a commit had moved when it was killed before the manifest."""
        folder, staging = self.folder(ref), self.staging_path(ref)
        make_folder(staging)
        # a run that was killed may have got no further than to make a folder
        sync_folders(staging)
        if folder.exists():
            for entry in sorted(folder.iterdir()):
                if (staging / entry.name).exists():
                    raise StorageError(f"{entry} and {staging / entry.name}: delete the one you do not want")
                move_into(entry, staging)
            folder.rmdir()


def _refs_of(folders: Sequence[Path], kind: str) -> Iterator[ArtifactRef]:
    for folder in folders:
        try:
            yield ArtifactRef.model_validate({"kind": kind, "key": folder.name})
        except ValueError:
            continue  # not one of ours: a person put it there
