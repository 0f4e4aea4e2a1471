"""What a person means by what they typed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from storage.aliases import Aliases
from storage.errors import MissingArtifact
from storage.refs import KINDS, ArtifactRef

if TYPE_CHECKING:
    from storage.store import Store

_PREFIX = re.compile(r"[0-9a-f]{4,16}")


def resolve(store: Store, text: str, kinds: Sequence[str] = ()) -> ArtifactRef:
    """See `Store.resolve`."""
    kind, slash, name = text.strip().rpartition("/")
    if slash and kind not in KINDS:
        raise MissingArtifact(f"'{text}': '{kind}' is no kind of artifact; the kinds are {', '.join(KINDS)}")
    if slash and kinds and kind not in kinds:
        raise MissingArtifact(f"'{text}' is of kind {kind}; this takes {' or '.join(kinds)}")
    wanted = (kind,) if slash else tuple(kinds) or KINDS
    named = {
        ArtifactRef.model_validate({"kind": k, "key": key})
        for k, n, key in _aliases(store, wanted)
        if n == name
    }
    found = sorted(named or set(_with_prefix(store, name, wanted)), key=str)
    if len(found) > 1:
        raise MissingArtifact(
            f"'{text}' may mean {', '.join(map(str, found))}; write more of the one you mean"
        )
    if not found:
        raise MissingArtifact(
            f"{_nothing(store, text, name, wanted)}; `segspade artifacts list` shows what there is"
        )
    if not store.exists(found[0]):
        raise MissingArtifact(
            f"'{text}' is {found[0]}, which was deleted; the run that made it makes it again"
        )
    return found[0]


def _aliases(store: Store, kinds: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return (alias for alias in Aliases(store.root).list() if alias[0] in kinds)


def _with_prefix(store: Store, prefix: str, kinds: Sequence[str]) -> Iterator[ArtifactRef]:
    if _PREFIX.fullmatch(prefix):
        for kind in kinds:
            yield from (ref for ref in store.refs(kind) if ref.key.startswith(prefix))


def _nothing(store: Store, text: str, name: str, kinds: Sequence[str]) -> str:
    known = {n: f"{k}/{n}" for k, n, _ in _aliases(store, kinds)}
    known |= {ref.key: str(ref) for kind in kinds for ref in store.refs(kind)}
    near = [known[match] for match in get_close_matches(name, known, n=3)]
    if re.fullmatch("[0-9a-f]{1,3}", name):
        return f"'{text}' is not in {store.where}; of a key, 4 digits or more are needed"
    hint = f"; did you mean {' or '.join(near)}" if near else ""
    return f"'{text}' is not in {store.where}{hint}"
