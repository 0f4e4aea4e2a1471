"""Names for artifacts, such as segmenter/production; what a name meant before is kept."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict

from storage.errors import DamagedArtifact, MissingArtifact, StorageError
from storage.files import folders_in, put_bytes
from storage.locks import Lock
from storage.refs import KINDS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(r"[0-9a-f]{16}")


class Entry(TypedDict):
    """Since `created` (UTC, ISO) the name means `key`; None: it was removed then.

    `undoes` is there in entries that a rollback made: the key that the name meant until then.
    """

    key: str | None
    created: str
    reason: str
    undoes: NotRequired[str]


History = list[Entry]
Found = list[tuple[str, str, str]]
Keys = set[str]


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
        with self._locked():
            self._write(kind, name, key, reason)

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
            raise _no_alias(kind, name)
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

    def rollback(self, kind: str, name: str, reason: str = "") -> str:
        """Make the name mean again what it meant before; once more: what it meant before that.

        Returns:
            The key that it means now.

        Raises:
            MissingArtifact: there is no such alias, or it never meant anything else.
        """
        with self._locked():
            entries = self._entries(self._path(kind, name))
            if not entries or entries[-1]["key"] is None:
                raise _no_alias(kind, name)
            meanings = _meanings(entries)
            if len(meanings) < 2:
                raise MissingArtifact(
                    f"{kind}/{name} means {meanings[-1]}, and there is nothing left to go back to"
                )
            undone, key = meanings[-1], meanings[-2]
            self._write(kind, name, key, reason or f"rolled back from {undone}", undoes=undone)
            return key

    def undone(self, kind: str, name: str) -> frozenset[str]:
        """Keys that a rollback took the name away from, and that nobody has given it back since."""
        taken = Keys()
        for entry in self._entries(self._path(kind, name)):
            if "undoes" in entry:
                taken.add(entry["undoes"])
            if entry["key"] is not None:
                taken.discard(entry["key"])
        return frozenset(taken)

    def remove(self, kind: str, name: str) -> None:
        """Forget what an alias means; its history stays.

        Raises:
            MissingArtifact: there is no such alias.
        """
        if self.get(kind, name) is None:
            raise _no_alias(kind, name)
        with self._locked():
            self._write(kind, name, None, "removed")

    def _locked(self) -> Lock:
        """Two that set one alias at once would else lose the history of one."""
        return Lock(self.root / "locks" / "aliases.lock")

    def _write(self, kind: str, name: str, key: str | None, reason: str, undoes: str | None = None) -> None:
        path = self._path(kind, name)
        if _KEY.fullmatch(name):
            raise StorageError(f"alias '{name}' looks like a key; take a word")
        entry: Entry = {"key": key, "created": datetime.now(UTC).isoformat(), "reason": reason}
        if undoes is not None:
            entry["undoes"] = undoes
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


def _meanings(entries: History) -> list[str]:
    """What a name meant, the first first, without what was rolled back; the last is what it means now."""
    meanings: list[str] = []
    for entry in entries:
        if "undoes" in entry and meanings:
            meanings.pop()
        elif entry["key"] is not None and meanings[-1:] != [entry["key"]]:
            meanings.append(entry["key"])
    return meanings


def _no_alias(kind: str, name: str) -> MissingArtifact:
    return MissingArtifact(f"there is no alias {kind}/{name}; `segspade alias list` shows those there are")
