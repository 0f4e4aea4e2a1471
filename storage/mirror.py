"""A workspace in a bucket is worked on through a mirror: a local folder that holds what was used of it.

    remote.json               the URL, and what tells this mirror from others
    artifacts/<kind>/<key>/   files as they were fetched; whether there is such an artifact, the bucket says
    staging/<kind>/<key>/     what is being made, which is put into the bucket too, and there first
    etags/<kind>-<key>        the etag of the manifest that was fetched

The bucket is laid out as a workspace on a disk (see `storage.store`), so Zarr reads straight from it.
Whoever reads through the mirror finds paths, as on a disk. Shards of arrays are fetched one by one, when a
sample of theirs is asked for, and stay: a second epoch of training fetches nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from storage.cache_limit import keep_within_limit
from storage.errors import DamagedArtifact, StorageError
from storage.files import put_local, remove, sha256_file
from storage.locks import Lock
from storage.manifest import NAME, FileRecord, Manifest, read_manifest, removing
from storage.objects import PATIENCE_S, Bucket, BucketAway, Entry, Object, open_bucket
from storage.refs import ArtifactRef
from storage.shard_index import is_shard

REMOTE = "remote.json"
_AT_ONCE = 8
_CHECK_S = 10.0
T = TypeVar("T")

_mirrors: dict[Path, Mirror] = {}


class Mirror:
    """The mirror in the folder `root` of the workspace at `url`. Threads may share it."""

    def __init__(self, root: Path, url: str, ident: str) -> None:
        self.root = root
        self.url = url
        # of the same mirror, only one process at a time holds a key: the kernel's lock sees to it
        self.ident = f"{ident} on {socket.gethostname()}"
        self._pid = 0
        self._bucket: Bucket | None = None

    @property
    def bucket(self) -> Bucket:
        """The objects; opened when first asked for, and anew in a child of a fork."""
        if self._bucket is None or self._pid != os.getpid():
            self._bucket, self._pid = self.patient(PATIENCE_S), os.getpid()
        return self._bucket

    def patient(self, patience_s: float) -> Bucket:
        """The objects, for one who waits so long for a server that fails."""
        return open_bucket(self.url, patience_s)

    def check(self) -> None:
        """See that there is a bucket that lets us in, before long work begins.

        Raises:
            StorageError: there is none, or it does not; in seconds, not in the minute of other requests.
        """
        self.patient(_CHECK_S).folders("artifacts")

    def name(self, path: Path) -> str:
        """The name in the bucket of what lies at a path of the mirror."""
        return path.relative_to(self.root).as_posix()

    def shown(self, path: Path) -> str:
        """The URL of what lies at a path of the mirror."""
        return f"{self.url}/{self.name(path)}"

    def folder(self, ref: ArtifactRef) -> Path:
        """Where fetched files of an artifact lie."""
        return self.root / "artifacts" / ref.kind / ref.key

    # ---- artifacts that are committed

    def exists(self, ref: ArtifactRef) -> bool:
        """Whether the artifact is committed."""
        return self.bucket.head(self.name(self.folder(ref) / NAME)) is not None

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """The artifact's manifest, which lies in the mirror afterwards. What was fetched of one deleted
        since, or made again with other bytes, is deleted there.

        Raises:
            FileNotFoundError: it is not committed.
            DamagedArtifact: the manifest was altered.
        """
        path, seen = self.folder(ref) / NAME, self.root / "etags" / f"{ref.kind}-{ref.key}"
        known = seen.read_text() if seen.exists() and path.exists() else ""
        name = self.name(path)
        found = self.bucket.get_if_changed(name, known) if known else self.bucket.get(name)
        if found is None:
            remove(path.parent)
            seen.unlink(missing_ok=True)
            raise FileNotFoundError(self.shown(path))
        if isinstance(found, Object):
            if not path.exists() or path.read_bytes() != found.content:
                remove(path.parent)
                put_local(path, found.content)
            put_local(seen, found.etag.encode())
        return _manifest(path, path.stat().st_mtime_ns)

    def fetch(self, ref: ArtifactRef) -> None:
        """Bring every file of the artifact but the shards of its arrays into the mirror.

        Raises:
            FileNotFoundError: it is not committed.
            DamagedArtifact: a file is missing or altered; the message names it.
        """
        folder, manifest = self.folder(ref), self.manifest(ref)
        missing = [
            record
            for record in manifest.files
            if not is_shard(record.path) and _size(folder / record.path) != record.bytes
        ]
        each(lambda record: self._bring(folder, record), missing)

    def fetch_shard(self, file: Path) -> bool:
        """Bring one file of a committed artifact into the mirror, unless another process has done so.

        Returns:
            Whether it is there now; False when it is no file of a committed artifact.

        Raises:
            DamagedArtifact: it is missing or altered in the bucket.
        """
        parts = file.relative_to(self.root).parts
        folder = self.root.joinpath(*parts[:3])
        manifest = folder / NAME
        if parts[0] != "artifacts" or not manifest.exists():
            return False
        records = _records(manifest, manifest.stat().st_mtime_ns)
        record = records.get("/".join(parts[3:]))
        if record is None:
            return False
        # whoever asks for the same shard meanwhile waits, in place of fetching it as well
        with Lock(self.root / "locks" / "fetching" / f"{record.sha256[:2]}.lock"):
            if _size(file) != record.bytes:
                self._bring(folder, record)
                keep_within_limit(self.root, record.bytes)
        return True

    def read(self, path: Path) -> bytes | None:
        """The object of a path of the mirror, which does not come to lie here; None when there is none."""
        found = self.bucket.get(self.name(path))
        return None if found is None else found.content

    def _bring(self, folder: Path, record: FileRecord) -> None:
        path = folder / record.path
        found = self.bucket.get(self.name(path))
        if found is None:
            raise DamagedArtifact(f"{self.shown(path)}: missing. {self.how_to_mend(folder)}")
        if hashlib.sha256(found.content).hexdigest() != record.sha256:
            raise DamagedArtifact(f"{self.shown(path)}: altered. {self.how_to_mend(folder)}")
        put_local(path, found.content)

    def how_to_mend(self, folder: Path) -> str:
        """What to do about a damaged artifact."""
        ref = "/".join(folder.parts[-2:])
        return removing(ref, self.url)

    # ---- what is being made

    def share(self, path: Path, content: bytes) -> str | None:
        """Put what is about to be written into a staging folder of the mirror into the bucket as well.

        Returns:
            The object's etag; None when the path is in no staging folder.
        """
        return self.bucket.put(self.name(path), content) if self.name(path).startswith("staging/") else None

    def share_copy(self, source: Path, path: Path) -> str:
        """Copy an object of a committed artifact to a path of a staging folder. Returns its etag.

        Raises:
            BucketAway: it is gone.
        """
        self.bucket.copy(self.name(source), self.name(path))
        entry = self.bucket.head(self.name(path))
        if entry is None:
            raise BucketAway(f"{self.shown(path)}: is gone; run the same again to go on from here")
        return entry.etag

    # ---- folders of the bucket, for those who list, weigh and delete

    def folders_in(self, folder: Path) -> list[Path]:
        """As `files.folders_in`."""
        return [folder / name for name in self.bucket.folders(self.name(folder))]

    def entries(self, folder: Path) -> list[Entry]:
        """Every object below a folder; names are relative to the workspace's URL."""
        return self.bucket.entries(self.name(folder))

    def bytes_under(self, folder: Path) -> int:
        """As `files.bytes_under`."""
        return sum(entry.bytes for entry in self.entries(folder))

    def remove(self, folder: Path) -> None:
        """As `files.remove` of a folder, here and in the bucket; a manifest goes first."""
        manifest = self.name(folder / NAME)
        names = [entry.name for entry in self.entries(folder)]
        if manifest in names:
            names.remove(manifest)
            self.bucket.delete([manifest])
        for start in range(0, len(names), 500):
            self.bucket.delete(names[start : start + 500])
        remove(folder)


def each(do: Callable[[T], object], items: Iterable[T]) -> None:
    """Do it for all, some at once; raises what the first to fail raised."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(do, items))


def mirror_in(root: Path) -> Mirror | None:
    """The mirror in a folder; None when it is a workspace of its own."""
    found = _mirrors.get(root)
    if found is None:
        try:
            remote = json.loads((root / REMOTE).read_bytes())
            found = _mirrors[root] = Mirror(root, remote["url"], remote["id"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{root / REMOTE}: does not say what this folder mirrors ({error}). Delete {root}; "
                "it is a copy, and what it was copied from stays"
            ) from error
    return found


def mirror_of(path: Path) -> Mirror | None:
    """The mirror that a file below `artifacts` or `staging` of a workspace lies in, or None."""
    for area in ("staging", "artifacts"):
        if area in path.parts:
            for parent in path.parents:
                if parent.name == area and (found := mirror_in(parent.parent)) is not None:
                    return found
    return None


def make_mirror(root: Path, url: str) -> Path:
    """Make `root` the mirror of the workspace at `url`, unless it is already. Returns `root`."""
    if not (root / REMOTE).exists():
        with Lock(root / "locks" / "mirror.lock"):
            if not (root / REMOTE).exists():
                content = {"url": url, "id": uuid.uuid4().hex}
                put_local(root / REMOTE, (json.dumps(content, indent=2) + "\n").encode())
    return root


def holds(path: Path, record: FileRecord) -> bool:
    """Whether a local file is the one that was recorded."""
    return _size(path) == record.bytes and sha256_file(path) == record.sha256


@lru_cache(maxsize=64)
def _manifest(path: Path, _changed_ns: int) -> Manifest:
    return read_manifest(path)


@lru_cache(maxsize=64)
def _records(path: Path, changed_ns: int) -> dict[str, FileRecord]:
    return {record.path: record for record in _manifest(path, changed_ns).files}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
