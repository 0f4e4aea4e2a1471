"""What may go: artifacts that nothing reaches, and what dead runs left behind. Seen first, deleted then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from storage.aliases import Aliases
from storage.errors import StorageError
from storage.files import discarded_name, files_under, is_partial, remove
from storage.manifest import Manifest
from storage.refs import KINDS, ArtifactRef

if TYPE_CHECKING:
    from storage.store import Store


@dataclass(frozen=True)
class GcItem:
    """A file or folder that may go. `ref` is the artifact it is, or was to become; None for a stray file."""

    path: Path
    bytes: int
    ref: ArtifactRef | None
    why: str
    committed: bool = False


@dataclass(frozen=True)
class GcPlan:
    """What gc would delete, and what it spares though nothing reaches it."""

    items: list[GcItem]
    keep_last: int = 0
    before: datetime | None = None

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)


def plan(store: Store, keep_last: int = 0, before: datetime | None = None) -> GcPlan:
    """See `Store.gc_plan`."""
    keep, held = kept(store, keep_last, before), store.held()
    items = [
        GcItem(
            store.folder(ref),
            store.bytes_under(store.folder(ref)),
            ref,
            "no alias and no report reaches it",
            committed=True,
        )
        for ref in store.refs()
        if ref not in keep and ref not in held
    ]
    left = [item for item in _leftovers(store, held) if before is None or store.changed(item.path) < before]
    return GcPlan(items + left, keep_last, before)


def collect(store: Store, plan: GcPlan) -> list[GcItem]:
    """See `Store.gc`."""
    for ref, who in store.held().items():
        raise StorageError(
            f"{ref} is being made by {who} and may need what would be deleted; try again when it is done"
        )
    # seen anew: since the plan was made an artifact may have got a name
    keep = kept(store, plan.keep_last, plan.before)
    deleted = []
    for item in plan.items:
        if item.ref is None:
            remove(item.path)
        elif item.ref in keep and item.committed:
            continue
        else:
            with store.lock(item.ref):
                if item.path == store.folder(item.ref) and store.exists(item.ref) != item.committed:
                    continue
                if item.committed:
                    store.delete_unlocked(item.ref)
                else:
                    store.delete(item.path)
        deleted.append(item)
    return deleted


def kept(store: Store, keep_last: int = 0, before: datetime | None = None) -> set[ArtifactRef]:
    """Every artifact that an alias, a report or one that is spared was made from, with those themselves.

    Args:
        store: the artifacts.
        keep_last: so many of each kind and stage are spared, those made last.
        before: those made then or later are spared; None: none for its age.
    """
    roots = [
        ArtifactRef.model_validate({"kind": kind, "key": key}) for kind, _, key in Aliases(store.root).list()
    ]
    roots += store.refs("report")
    if keep_last or before is not None:
        roots += _spared([store.manifest(ref) for ref in store.refs()], keep_last, before)
    return {ref for root in roots for ref in store.lineage(root)}


def _spared(manifests: list[Manifest], keep_last: int, before: datetime | None) -> Iterator[ArtifactRef]:
    seen: Counter[tuple[str, str]] = Counter()
    for manifest in sorted(manifests, key=lambda each: (_made(each), each.key), reverse=True):
        place = (manifest.kind, manifest.stage)
        seen[place] += 1
        if seen[place] <= keep_last or (before is not None and _made(manifest) >= before):
            yield manifest.ref


def _made(manifest: Manifest) -> datetime:
    return datetime.fromisoformat(manifest.created)


def reached_by(store: Store, ref: ArtifactRef) -> list[str]:
    """See `Store.reached_by`."""
    aliases = {
        f"{kind}/{name}": ArtifactRef.model_validate({"kind": kind, "key": key})
        for kind, name, key in Aliases(store.root).list()
    }
    roots = aliases | {str(report): report for report in store.refs("report") if report != ref}
    return [name for name, root in roots.items() if ref in store.lineage(root)]


def _leftovers(store: Store, held: Mapping[ArtifactRef, str]) -> Iterator[GcItem]:
    for area, why in (
        ("staging", "half made, and nobody is at it"),
        ("artifacts", "its commit was cut short"),
    ):
        for kind in KINDS:
            for folder in store.folders_in(store.root / area / kind):
                deleted = discarded_name(folder)
                try:
                    ref = ArtifactRef.model_validate({"kind": kind, "key": deleted or folder.name})
                except ValueError:
                    continue
                committed = area == "artifacts" and not deleted and store.exists(ref)
                if not committed and ref not in held and store.has(folder):
                    told = "its deletion was cut short" if deleted else why
                    yield GcItem(folder, store.bytes_under(folder), ref, told)
    for path in files_under(store.root / "aliases"):
        if is_partial(path):
            yield GcItem(path, path.stat().st_size, None, "left by a process that was killed")
