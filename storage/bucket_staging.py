"""An artifact being made in a mirror, and how it becomes a committed one in the bucket.

What is put into staging is put into the bucket too, shards before the markers that tell of them, so that
another machine goes on where this one died. Objects are made under `staging/` and copied to their final names
by the server when all is made, and not put there from the start: workers of a writer that has lost its lease
may still be writing, and must not reach what another has committed. A copy costs a request, and no byte of
it comes here.

A digest is taken here of what lies here. Shards that another machine made are not fetched for that: their
marker has it, and the etag that the object had then; if it has another one now, the shard is made again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from storage.errors import StorageError
from storage.files import files_under, put_bytes, put_local, remove
from storage.leases import Lease
from storage.manifest import NAME, FileRecord, Manifest
from storage.mirror import Mirror, each, holds
from storage.objects import Entry, Outrun
from storage.refs import ArtifactRef
from storage.shard_index import is_shard
from storage.staging import DISCARDED, Staging

Made = dict[str, tuple[FileRecord, str]]


def resume(mirror: Mirror, ref: ArtifactRef, path: Path) -> None:
    """Make a staging folder of the mirror what it is in the bucket, but for shards, which stay there.

    A marker of shards that the bucket has not, or not any more, is deleted: they are made again.
    """
    entries = {entry.name: entry for entry in mirror.entries(path)}
    wrong = [name for name, found in _markers(mirror, path, entries).items() if found is None]
    mirror.bucket.delete(wrong)
    for name in wrong:
        del entries[name]
    wanted = [entry for name, entry in entries.items() if not is_shard(_inside(mirror, path, name))]
    each(lambda entry: _fetch(mirror, entry), wanted)
    made = _made(path)
    for file in list(files_under(path)):
        inside = file.relative_to(path).as_posix()
        known = mirror.name(file) in entries
        if is_shard(inside):
            keep = known and inside in made and holds(file, made[inside][0])
        else:
            # what is in none of the others is put there at the end alone, such as the frames of a drawn city
            keep = known or inside.partition("/")[0] not in DISCARDED
        if not keep:
            remove(file)
    path.mkdir(parents=True, exist_ok=True)


class BucketStaging(Staging):
    """As `Staging`, in a mirror, by whoever holds the lease."""

    _lock: Lease

    def __init__(self, ref: ArtifactRef, path: Path, mirror: Mirror, lease: Lease) -> None:
        super().__init__(ref, path, mirror.folder(ref), lease)
        self._mirror = mirror

    def staged(self) -> dict[str, int]:
        """As `Staging.staged`; and the shards that the bucket alone has."""
        there = self._made_in_bucket()
        return super().staged() | {path: record.bytes for path, (record, _) in there.items()}

    def put(self, record: FileRecord, content: bytes) -> None:
        """As `Staging.put`; of a shard, nothing stays here."""
        if not is_shard(record.path):
            super().put(record, content)
            return
        etag = self._mirror.share(self.path / record.path, content)
        folder = self.path / "done" / record.path.partition("/")[0]
        name = hashlib.sha256(record.path.encode()).hexdigest()[:16]
        marker = [record.model_dump() | {"etag": etag}]
        put_bytes(folder / f"{name}.json", json.dumps(marker).encode())

    def _records(self) -> list[FileRecord]:
        """Every file of the artifact with its digest: those that lie here, and shards that the bucket has."""
        here = super()._records()
        there = _made(self.path).keys() - {record.path for record in here}
        made = self._made_in_bucket()
        if lost := sorted(there - made.keys()):
            raise StorageError(
                f"{self.ref}: {self._mirror.shown(self.path)}/{lost[0]} was changed while it was being made; "
                "run the same again to make it anew"
            )
        return sorted([*here, *(made[name][0] for name in there)], key=lambda record: record.path)

    def _publish(self, manifest: Manifest) -> Manifest:
        """Give every object its final name; then put the manifest, if nobody else has put one."""
        bucket, target = self._mirror.bucket, self._mirror.name(self._target)
        made, staging = self._made_in_bucket(), self._mirror.name(self.path)
        etags = {entry.name: entry.etag for entry in self._mirror.entries(self.path)}

        def place(record: FileRecord) -> None:
            self._lock.check()
            known, file = made.get(record.path), self.path / record.path
            if (known is not None and known[0] == record) or (
                file.exists() and _is(etags.get(f"{staging}/{record.path}"), file)
            ):
                bucket.copy(f"{staging}/{record.path}", f"{target}/{record.path}")
            else:
                bucket.put(f"{target}/{record.path}", file.read_bytes())

        self._lock.check()
        if self._mirror.exists(self.ref):
            return self._use_what_is_there()
        each(place, manifest.files)
        self._lock.check()
        # of an attempt that died
        wanted = {f"{target}/{record.path}": record.bytes for record in manifest.files}
        placed = {entry.name: entry.bytes for entry in self._mirror.entries(self._target)}
        bucket.delete([name for name in placed if name not in wanted and name != f"{target}/{NAME}"])
        if wrong := [name for name, size in wanted.items() if placed.get(name) != size]:
            raise StorageError(
                f"{self._mirror.url}/{wrong[0]}: is not what was put there; run the same again"
            )
        self._lock.check()
        try:
            bucket.put_new(f"{target}/{NAME}", manifest.to_bytes())
        except Outrun:
            return self._use_what_is_there()
        super()._publish(manifest)
        self._mirror.remove(self.path)
        return manifest

    def _use_what_is_there(self) -> Manifest:
        """Another was faster: forget what was made here."""
        self._mirror.remove(self.path)
        return self._mirror.manifest(self.ref)

    def _made_in_bucket(self) -> Made:
        """The shards that the bucket has as their markers say."""
        etags = {entry.name: entry.etag for entry in self._mirror.entries(self.path)}
        folder = self._mirror.name(self.path)
        return {
            name: (record, etag)
            for name, (record, etag) in _made(self.path).items()
            if etags.get(f"{folder}/{name}") == etag
        }


def _markers(mirror: Mirror, path: Path, entries: dict[str, Entry]) -> dict[str, Made | None]:
    """Name of every marker of shards in the bucket → what it tells of; None when that is not so."""
    found: dict[str, Made | None] = {}

    def read(name: str) -> None:
        marker = mirror.bucket.get(name)
        made = None if marker is None else _told(marker.content)
        folder = mirror.name(path)
        right = made is not None and all(
            (entry := entries.get(f"{folder}/{each}")) is not None
            and (entry.etag, entry.bytes) == (etag, record.bytes)
            for each, (record, etag) in made.items()
        )
        found[name] = made if right else None

    each(read, [name for name in entries if _is_marker(_inside(mirror, path, name))])
    return found


def _made(path: Path) -> Made:
    """Shards of a staging folder, as the markers that lie here tell."""
    made: Made = {}
    for file in files_under(path / "done"):
        if _is_marker(file.relative_to(path).as_posix()):
            made.update(_told(file.read_bytes()) or {})
    return made


def _told(marker: bytes) -> Made | None:
    """Path → (record, etag) of the shards that a marker tells of; None when it is no such marker."""
    try:
        return {
            entry["path"]: (FileRecord.model_validate(entry), entry["etag"]) for entry in json.loads(marker)
        }
    except (ValueError, KeyError, TypeError):
        return None


def _is_marker(inside: str) -> bool:
    """Whether this is a marker of `storage.shard_writing`: done/<split>.zarr/<shard>.json."""
    parts = inside.split("/")
    return len(parts) == 3 and parts[0] == "done" and parts[1].endswith(".zarr")


def _inside(mirror: Mirror, path: Path, name: str) -> str:
    return name.removeprefix(f"{mirror.name(path)}/")


def _fetch(mirror: Mirror, entry: Entry) -> None:
    path = mirror.root / entry.name
    if path.is_file() and _is(entry.etag, path):
        return
    found = mirror.bucket.get(entry.name)
    if found is not None:
        put_local(path, found.content)


def _is(etag: str | None, path: Path) -> bool:
    """Whether the object with that etag surely holds what the file holds. Most servers take the MD5 for etag;
    of one that does not, all is put or fetched once more."""
    if etag is None:
        return False
    return etag.strip('"') == hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
