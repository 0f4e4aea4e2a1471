"""Checkpoints as bytes in a folder; what is in them is the training loop's business."""

from __future__ import annotations

from pathlib import Path

from storage.files import put_bytes


class FolderCheckpoints:
    """One file a name, `<name>.safetensors`; a save replaces it whole and is on the disk when it returns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, name: str) -> bytes | None:
        """The bytes saved last under `name`, or None."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def save(self, name: str, content: bytes) -> None:
        """Replace what is kept under `name`; either the old or the new bytes survive a crash."""
        put_bytes(self._path(name), content)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"
