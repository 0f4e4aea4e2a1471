"""An artifact being made, and how it becomes a committed one."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import StorageError
from storage.files import (
    files_under,
    fsync_dir,
    is_partial,
    make_folder,
    move_into,
    put_bytes,
    remove,
    sha256_file,
)
from storage.keys import artifact_key
from storage.locks import Lock
from storage.manifest import NAME, FileRecord, Manifest, git_commit, package_versions
from storage.refs import ArtifactRef

if TYPE_CHECKING:
    from storage.leases import Lease

# of use only until the artifact is committed: markers of parts that are done, and checkpoints of training
DISCARDED = ("done", "checkpoints")
# the manifest of the artifact that a folder is becoming a copy of
_COPIED = "done/copied.json"


class Staging:
    """A folder to put files into, held by one writer. `path` is the folder, `ref` what it becomes."""

    def __init__(self, ref: ArtifactRef, path: Path, target: Path, lock: Lock | Lease) -> None:
        self.ref = ref
        self.path = path
        self._target = target
        self._lock = lock

    def fileno(self) -> int:
        """The lock's descriptor, to be inherited by a child that does the work (`pass_fds`).

        The child then holds the lock as long as it lives, also when its parent was killed.
        """
        return self._lock.fileno()

    def commit(
        self,
        *,
        stage: str,
        revision: int,
        config: Mapping[str, Any],
        inputs: Mapping[str, str],
        counts: Mapping[str, int] | None = None,
        metrics: Mapping[str, Any] | None = None,
        seconds: float = 0.0,
        device: str = "cpu",
    ) -> Manifest:
        """Publish what is in the folder. All is on the disk before the manifest, which makes it visible.

        A process killed at any moment leaves either a committed artifact or one that the next writer finds in
        staging again, with its markers.

        Raises:
            StorageError: the folder is empty, or the key is not that of stage, revision, config and inputs.
        """
        key = artifact_key(stage, revision, config, inputs)
        if key != self.ref.key:
            raise StorageError(f"{self.ref}: stage, revision, config and inputs have the key {key}")
        manifest = Manifest(
            kind=self.ref.kind,
            key=self.ref.key,
            stage=stage,
            revision=revision,
            config=dict(config),
            inputs=dict(inputs),
            files=self._records(),
            counts=dict(counts or {}),
            metrics=dict(metrics or {}),
            packages=package_versions(),
            git_commit=git_commit(),
            device=device,
            seconds=round(seconds, 3),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        return self._publish(manifest)

    def copied(self) -> bytes | None:
        """The manifest of the artifact that this is becoming a copy of; None when it is being made here."""
        path = self.path / _COPIED
        return path.read_bytes() if path.exists() else None

    def begin_copy(self, manifest: Manifest) -> None:
        """Note what this is becoming a copy of."""
        put_bytes(self.path / _COPIED, manifest.to_bytes())

    def staged(self) -> dict[str, int]:
        """Path → bytes of every file that is here, relative to the artifact."""
        paths = (path for path in files_under(self.path) if not is_partial(path))
        return {path.relative_to(self.path).as_posix(): path.stat().st_size for path in paths}

    def put(self, record: FileRecord, content: bytes) -> None:
        """Put a whole file of another workspace's artifact. Threads may put different ones."""
        put_bytes(self.path / record.path, content)

    def commit_copy(self, manifest: Manifest) -> Manifest:
        """Publish what was copied, as it was committed in the workspace that it is from.

        Raises:
            StorageError: a file is not what it was there; it is taken away.
        """
        expected = {record.path: record for record in manifest.files}
        found = {record.path: record for record in self._records()}
        wrong = sorted(path for path in expected | found if expected.get(path) != found.get(path))
        if wrong:
            for path in wrong:
                remove(self.path / path)
            raise StorageError(
                f"{self.path / wrong[0]}: was altered while it was being copied; run the same again"
            )
        return self._publish(manifest)

    def _publish(self, manifest: Manifest) -> Manifest:
        """Give every file its final name; then put the manifest. Returns that of what is there now."""
        make_folder(self._target)
        for entry in sorted(self.path.iterdir()):
            if entry.name not in DISCARDED:
                move_into(entry, self._target)
        for folder in (self._target.parent, self._target.parent.parent):
            fsync_dir(folder)
        put_bytes(self._target / NAME, manifest.to_bytes())
        remove(self.path)
        return manifest

    def _records(self) -> list[FileRecord]:
        """Every file of the artifact with its digest; they and their names are on the disk after this."""
        files = []
        for path in files_under(self.path):
            if is_partial(path):
                remove(path)
            elif path.relative_to(self.path).parts[0] not in DISCARDED:
                files.append(path)
        if not files:
            raise StorageError(f"{self.ref}: there is nothing to commit in {self.path}")
        # digests are taken outside of Python's lock, and waiting for the disk is shared
        with ThreadPoolExecutor(8) as pool:
            records = list(pool.map(self._record, files))
            list(pool.map(fsync_dir, sorted({folder for path in files for folder in self._folders(path)})))
        return records

    def _record(self, path: Path) -> FileRecord:
        name = path.relative_to(self.path).as_posix()
        return FileRecord(path=name, bytes=path.stat().st_size, sha256=sha256_file(path, fsync=True))

    def _folders(self, path: Path) -> list[Path]:
        above = path.relative_to(self.path).parents
        return [self.path / folder for folder in above]
