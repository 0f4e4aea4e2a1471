"""Names for artifacts, such as segmenter/production; what a name meant before is kept."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from storage.errors import DamagedArtifact, MissingArtifact, StorageError
from storage.files import folders_in, put_bytes
from storage.locks import Lock
from storage.refs import KINDS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(r"[0-9a-f]{16}")


class Entry(TypedDict):
    """Since `created` (UTC, ISO) the name means `key`; None: it was removed then."""

    key: str | None
    created: str
    reason: str


History = list[Entry]
Found = list[tuple[str, str, str]]


class Aliases:
    """The aliases of a workspace: one small file each, replaced atomically."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def set(self, kind: str, name: str, key: str, reason: str = "") -> None:
        """Point an alias to an artifact.

        Raises:
            StorageError: kind, name or key is none.
        """
        if not _KEY.fullmatch(key):
            raise StorageError(f"'{key}' is no key; an alias points to the whole key of an artifact")
        self._append(kind, name, key, reason)

    def get(self, kind: str, name: str) -> str | None:
        """The key the alias means, or None."""
        entries = self._entries(self._path(kind, name))
        return entries[-1]["key"] if entries else None

    def history(self, kind: str, name: str) -> History:
        """What the alias meant, oldest first.

        Raises:
            MissingArtifact: there never was such an alias.
        """
        entries = self._entries(self._path(kind, name))
        if not entries:
            raise MissingArtifact(
                f"there is no alias {kind}/{name}; `segspade alias list` shows those there are"
            )
        return entries

    def list(self, kind: str | None = None) -> Found:
        """(kind, name, key) of every alias, sorted."""
        found = []
        for folder in folders_in(self.root / "aliases"):
            if folder.name not in KINDS or kind not in (None, folder.name):
                continue
            for path in sorted(folder.glob("[!.]*.json")):
                entries = self._entries(path)
                if entries and entries[-1]["key"] is not None:
                    found.append((folder.name, path.stem, entries[-1]["key"]))
        return found

    def remove(self, kind: str, name: str) -> None:
        """Forget what an alias means; its history stays.

        Raises:
            MissingArtifact: there is no such alias.
        """
        if self.get(kind, name) is None:
            raise MissingArtifact(
                f"there is no alias {kind}/{name}; `segspade alias list` shows those there are"
            )
        self._append(kind, name, None, "removed")

    def _append(self, kind: str, name: str, key: str | None, reason: str) -> None:
        path = self._path(kind, name)
        if _KEY.fullmatch(name):
            raise StorageError(f"alias '{name}' looks like a key; take a word")
        # two that set one alias at once would else lose the history of one
        with Lock(self.root / "locks" / "aliases.lock"):
            entry: Entry = {"key": key, "created": datetime.now(UTC).isoformat(), "reason": reason}
            content = {"history": [*self._entries(path), entry]}
            put_bytes(path, (json.dumps(content, indent=2) + "\n").encode())

    def _path(self, kind: str, name: str) -> Path:
        if kind not in KINDS:
            raise StorageError(f"'{kind}' is no kind of artifact; the kinds are {', '.join(KINDS)}")
        if not _NAME.fullmatch(name):
            raise StorageError(
                f"alias '{name}': letters, digits, '.', '_' and '-', 64 at most, a letter or digit first"
            )
        return self.root / "aliases" / kind / f"{name}.json"

    @staticmethod
    def _entries(path: Path) -> History:
        try:
            return list(json.loads(path.read_bytes())["history"])
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedArtifact(
                f"{path}: not an alias ({error}). Delete the file and set the alias anew"
            ) from error
