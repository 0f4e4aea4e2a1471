"""Artifacts in a workspace: made in staging, committed once, never changed again.

    artifacts/<kind>/<key>/   committed; what has no manifest.json does not exist
    staging/<kind>/<key>/     being made; a run that died goes on here
    aliases/<kind>/<name>.json
    locks/<kind>-<key>.lock   one writer a key

Nothing heavy is imported here: commands that only read answer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from storage import garbage, names
from storage.check import OnBytes, Problem, check_sizes, find_problems
from storage.errors import MissingArtifact, StorageError
from storage.files import discard, folders_in, make_folder, move_into, remove, remove_if_empty, sync_folders
from storage.garbage import GcItem, GcPlan
from storage.locks import Lock
from storage.manifest import NAME, Manifest, read_manifest
from storage.refs import KINDS, ArtifactRef
from storage.space import telling_when_full
from storage.staging import Staging

__all__ = ["GcItem", "GcPlan", "Problem", "Staging", "Store"]


class Store:
    """The artifacts of one workspace. Cheap to make; nothing is written before a writer is opened."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, ref: ArtifactRef) -> Path:
        """Where the artifact's files lie once it is committed."""
        return self.root / "artifacts" / ref.kind / ref.key

    def staging_path(self, ref: ArtifactRef) -> Path:
        """Where the artifact's files are put until it is committed."""
        return self.root / "staging" / ref.kind / ref.key

    def lock_path(self, ref: ArtifactRef) -> Path:
        """The file whose lock the artifact's writer holds."""
        return self.root / "locks" / f"{ref.kind}-{ref.key}.lock"

    def exists(self, ref: ArtifactRef) -> bool:
        """Whether it is committed. Does not look at its files: see `check_files` and `verify`."""
        return (self.path(ref) / NAME).is_file()

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """What the artifact says of itself.

        Raises:
            MissingArtifact: it is not committed.
            DamagedArtifact: the manifest was altered.
        """
        try:
            return read_manifest(self.path(ref) / NAME)
        except FileNotFoundError:
            raise MissingArtifact(
                f"{ref} is not in {self.root}; run the stage that makes it, or see `segspade artifacts list`"
            ) from None

    def refs(self, kind: str | None = None) -> list[ArtifactRef]:
        """Every committed artifact, sorted by kind (in the order of the journey) and key."""
        return [
            ref
            for each in KINDS
            if kind in (None, each)
            for ref in _refs_in(self.root / "artifacts" / each)
            if self.exists(ref)
        ]

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
        check_sizes(self.path(ref))

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
        found = find_problems(((each, self.path(each)) for each in chosen), quick=quick, on_bytes=on_bytes)
        return list(found)

    @contextmanager
    def writer(
        self, ref: ArtifactRef, on_wait: Callable[[str], None] | None = None
    ) -> Iterator[Staging | None]:
        """Hold the artifact's lock and make it.

        Args:
            ref: what is to be made.
            on_wait: told who makes it, when another process does; then this one waits.

        Yields:
            The staging folder, with what a run that died left in it; None when the artifact is committed,
            by another while this one waited or earlier. Left without a commit, the folder stays for the next,
            unless nothing was put into it.

        Raises:
            DiskFull: there is no room, here or in what is done with the folder.
        """
        with (
            telling_when_full(self.staging_path(ref)),
            Lock(self.lock_path(ref), str(ref), on_wait) as lock,
        ):
            if self.exists(ref):
                remove(self.staging_path(ref))
                yield None
                return
            self._take_back(ref)
            try:
                yield Staging(ref, self.staging_path(ref), self.path(ref), lock)
            finally:
                # a stage that was refused leaves nothing behind
                remove_if_empty(self.staging_path(ref))

    def discard_staged(self, ref: ArtifactRef) -> None:
        """Take away what is staged of an artifact; for those who hold its lock."""
        remove(self.staging_path(ref))

    def remove(self, ref: ArtifactRef) -> None:
        """Delete an artifact: it vanishes at once, its files after that.

        Raises:
            MissingArtifact: it is not committed.
        """
        if not self.exists(ref):
            raise MissingArtifact(f"{ref} is not in {self.root}")
        with Lock(self.lock_path(ref), str(ref)):
            self.delete_unlocked(ref)

    def delete_unlocked(self, ref: ArtifactRef) -> None:
        """Delete committed files; for those who hold the lock."""
        folder = self.path(ref)
        if folder.exists():
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

    def _take_back(self, ref: ArtifactRef) -> None:
        """Bring back what a commit had moved when it was killed before the manifest."""
        folder, staging = self.path(ref), self.staging_path(ref)
        make_folder(staging)
        # a run that was killed may have got no further than to make a folder
        sync_folders(staging)
        if folder.exists():
            for entry in sorted(folder.iterdir()):
                if (staging / entry.name).exists():
                    raise StorageError(f"{entry} and {staging / entry.name}: delete the one you do not want")
                move_into(entry, staging)
            folder.rmdir()


def _refs_in(folder: Path) -> Iterator[ArtifactRef]:
    for found in folders_in(folder):
        try:
            yield ArtifactRef.model_validate({"kind": folder.name, "key": found.name})
        except ValueError:
            continue  # not one of ours: a person put it there
