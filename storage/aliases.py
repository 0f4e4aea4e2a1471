"""Names for artifacts, such as segmenter/production; what a name meant before is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict

from storage.errors import DamagedArtifact, MissingArtifact, StorageError
from storage.files import folders_in, put_bytes
from storage.locks import Lock
from storage.mirror import mirror_in
from storage.objects import Outrun
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
    """The aliases of a workspace: one small file or object each, replaced atomically."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._mirror = mirror_in(root)

    def set(self, kind: str, name: str, key: str, reason: str = "") -> None:
        """Point an alias to an artifact.

        Raises:
            StorageError: kind, name or key is none.
        """
        if not _KEY.fullmatch(key):
            raise StorageError(f"'{key}' is no key; an alias points to the whole key of an artifact")
        self._add(kind, name, lambda _entries: _entry(key, reason))

    def get(self, kind: str, name: str) -> str | None:
        """The key the alias means, or None."""
        entries = self._entries(self._path(kind, name))[0]
        return entries[-1]["key"] if entries else None

    def history(self, kind: str, name: str) -> History:
        """What the alias meant, oldest first.

        Raises:
            MissingArtifact: there never was such an alias.
        """
        entries = self._entries(self._path(kind, name))[0]
        if not entries:
            raise _no_alias(kind, name)
        return entries

    def list(self, kind: str | None = None) -> Found:
        """(kind, name, key) of every alias, sorted."""
        found = []
        for path in self._paths():
            if path.parent.name not in KINDS or kind not in (None, path.parent.name):
                continue
            entries = self._entries(path)[0]
            if entries and entries[-1]["key"] is not None:
                found.append((path.parent.name, path.stem, entries[-1]["key"]))
        return found

    def rollback(self, kind: str, name: str, reason: str = "") -> str:
        """Make the name mean again what it meant before; once more: what it meant before that.

        Returns:
            The key that it means now.

        Raises:
            MissingArtifact: there is no such alias, or it never meant anything else.
        """

        def back(entries: History) -> Entry:
            if not entries or entries[-1]["key"] is None:
                raise _no_alias(kind, name)
            meanings = _meanings(entries)
            if len(meanings) < 2:
                raise MissingArtifact(
                    f"{kind}/{name} means {meanings[-1]}, and there is nothing left to go back to"
                )
            undone, key = meanings[-1], meanings[-2]
            return {**_entry(key, reason or f"rolled back from {undone}"), "undoes": undone}

        key = self._add(kind, name, back)["key"]
        assert key is not None
        return key

    def undone(self, kind: str, name: str) -> frozenset[str]:
        """Keys that a rollback took the name away from, and that nobody has given it back since."""
        taken = Keys()
        for entry in self._entries(self._path(kind, name))[0]:
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

        def nothing(entries: History) -> Entry:
            if not entries or entries[-1]["key"] is None:
                raise _no_alias(kind, name)
            return _entry(None, "removed")

        self._add(kind, name, nothing)

    def _add(self, kind: str, name: str, next_entry: Callable[[History], Entry]) -> Entry:
        """Append what `next_entry` makes of the history. Of two at once, none loses what the other adds."""
        path = self._path(kind, name)
        if _KEY.fullmatch(name):
            raise StorageError(f"alias '{name}' looks like a key; take a word")
        if self._mirror is None:
            with Lock(self.root / "locks" / "aliases.lock"):
                entries, _ = self._entries(path)
                entry = next_entry(entries)
                put_bytes(path, _content([*entries, entry]))
                return entry
        at = self._mirror.name(path)
        while True:
            entries, etag = self._entries(path)
            entry = next_entry(entries)
            content = _content([*entries, entry])
            try:
                if etag:
                    self._mirror.bucket.put_over(at, content, etag)
                else:
                    self._mirror.bucket.put_new(at, content)
                return entry
            except Outrun:
                continue  # another was faster: its entry comes before ours

    def _path(self, kind: str, name: str) -> Path:
        if kind not in KINDS:
            raise StorageError(f"'{kind}' is no kind of artifact; the kinds are {', '.join(KINDS)}")
        if not _NAME.fullmatch(name):
            raise StorageError(
                f"alias '{name}': letters, digits, '.', '_' and '-', 64 at most, a letter or digit first"
            )
        return self.root / "aliases" / kind / f"{name}.json"

    def _paths(self) -> Iterable[Path]:
        """Every alias, sorted; of a mirror, where its file would be."""
        if self._mirror is None:
            folders = folders_in(self.root / "aliases")
            return [path for folder in folders for path in sorted(folder.glob("[!.]*.json"))]
        paths = [self.root / entry.name for entry in self._mirror.entries(self.root / "aliases")]
        return [path for path in paths if path.suffix == ".json"]

    def _entries(self, path: Path) -> tuple[History, str]:
        """The history, oldest first, and in a bucket the etag of its object, empty where there is none."""
        content, etag = self._read(path)
        if content is None:
            return [], etag
        try:
            return list(json.loads(content)["history"]), etag
        except (ValueError, KeyError, TypeError) as error:
            where, what = (path, "file") if self._mirror is None else (self._mirror.shown(path), "object")
            raise DamagedArtifact(
                f"{where}: not an alias ({error}). Delete the {what} and set the alias anew"
            ) from error

    def _read(self, path: Path) -> tuple[bytes | None, str]:
        if self._mirror is None:
            return (path.read_bytes() if path.exists() else None), ""
        found = self._mirror.bucket.get(self._mirror.name(path))
        return (None, "") if found is None else (found.content, found.etag)


def _entry(key: str | None, reason: str) -> Entry:
    return {"key": key, "created": datetime.now(UTC).isoformat(), "reason": reason}


def _content(entries: History) -> bytes:
    return (json.dumps({"history": entries}, indent=2) + "\n").encode()


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
