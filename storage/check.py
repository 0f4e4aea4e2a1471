"""Whether a committed artifact is still what was committed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.errors import DamagedArtifact
from storage.files import files_under, sha256_file
from storage.manifest import NAME, FileRecord, how_to_mend, read_manifest
from storage.refs import ArtifactRef


@dataclass(frozen=True)
class Problem:
    """One file of an artifact that is not as it was committed; `file` is relative to the artifact."""

    ref: ArtifactRef
    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.ref}/{self.file}: {self.what}"


def problems_of(ref: ArtifactRef, folder: Path) -> Iterator[Problem]:
    """Read every file below an artifact's folder, and tell what is missing, altered or too many."""
    try:
        manifest = read_manifest(folder / NAME)
    except DamagedArtifact:
        yield Problem(ref, NAME, "altered")
        return
    if manifest.ref != ref:
        yield Problem(ref, NAME, f"is the manifest of {manifest.ref}")
        return
    for record in manifest.files:
        what = _size_problem(folder, record)
        if what is None and sha256_file(folder / record.path) != record.sha256:
            what = "altered"
        if what is not None:
            yield Problem(ref, record.path, what)
    expected = {record.path for record in manifest.files} | {NAME}
    for path in files_under(folder):
        name = path.relative_to(folder).as_posix()
        if name not in expected:
            yield Problem(ref, name, "not a file of this artifact")


def check_sizes(folder: Path, under: str = "") -> None:
    """Raise DamagedArtifact naming a file that begins with `under` and is missing or of another size."""
    for record in read_manifest(folder / NAME).files:
        if record.path.startswith(under) and (what := _size_problem(folder, record)):
            raise DamagedArtifact(f"{folder / record.path}: {what}. {how_to_mend(folder)}")


def _size_problem(folder: Path, record: FileRecord) -> str | None:
    try:
        size = (folder / record.path).stat().st_size
    except OSError:
        return "missing"
    return None if size == record.bytes else f"altered: {size} bytes, {record.bytes} when it was committed"
