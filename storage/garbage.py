"""What may go: artifacts that nothing reaches, and what dead runs left behind. Seen first, deleted then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.aliases import Aliases
from storage.errors import StorageError
from storage.files import bytes_under, discarded_name, files_under, folders_in, is_partial, remove
from storage.locks import Lock, describe, is_held, owner
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
    """What gc would delete."""

    items: list[GcItem]

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)


def plan(store: Store) -> GcPlan:
    """See `Store.gc_plan`."""
    keep = reachable(store)
    items = [
        GcItem(
            store.path(ref),
            bytes_under(store.path(ref)),
            ref,
            "no alias and no report reaches it",
            committed=True,
        )
        for ref in store.refs()
        if ref not in keep and not is_held(store.lock_path(ref))
    ]
    return GcPlan(items + list(_leftovers(store)))


def collect(store: Store, plan: GcPlan) -> list[GcItem]:
    """See `Store.gc`."""
    for path in sorted((store.root / "locks").glob("*-*.lock")):
        if is_held(path):
            raise StorageError(
                f"{path.stem.replace('-', '/')} is being made by {describe(owner(path))} "
                "and may need what would be deleted; try again when it is done"
            )
    # seen anew: since the plan was made an artifact may have got a name
    keep = reachable(store)
    deleted = []
    for item in plan.items:
        if item.ref is None:
            remove(item.path)
        elif item.ref in keep and item.committed:
            continue
        else:
            with Lock(store.lock_path(item.ref), str(item.ref)):
                if item.path == store.path(item.ref) and store.exists(item.ref) != item.committed:
                    continue
                if item.committed:
                    store.delete_unlocked(item.ref)
                else:
                    remove(item.path)
        deleted.append(item)
    return deleted


def reachable(store: Store) -> set[ArtifactRef]:
    """Every artifact that an alias or a report was made from, with those themselves."""
    roots = [
        ArtifactRef.model_validate({"kind": kind, "key": key}) for kind, _, key in Aliases(store.root).list()
    ]
    return {ref for root in (*roots, *store.refs("report")) for ref in store.lineage(root)}


def reached_by(store: Store, ref: ArtifactRef) -> list[str]:
    """See `Store.reached_by`."""
    aliases = {
        f"{kind}/{name}": ArtifactRef.model_validate({"kind": kind, "key": key})
        for kind, name, key in Aliases(store.root).list()
    }
    roots = aliases | {str(report): report for report in store.refs("report") if report != ref}
    return [name for name, root in roots.items() if ref in store.lineage(root)]


def _leftovers(store: Store) -> Iterator[GcItem]:
    for area, why in (
        ("staging", "half made, and nobody is at it"),
        ("artifacts", "its commit was cut short"),
    ):
        for kind in KINDS:
            for folder in folders_in(store.root / area / kind):
                deleted = discarded_name(folder)
                try:
                    ref = ArtifactRef.model_validate({"kind": kind, "key": deleted or folder.name})
                except ValueError:
                    continue
                committed = area == "artifacts" and not deleted and store.exists(ref)
                if not committed and not is_held(store.lock_path(ref)):
                    told = "its deletion was cut short" if deleted else why
                    yield GcItem(folder, bytes_under(folder), ref, told)
    for path in files_under(store.root / "aliases"):
        if is_partial(path):
            yield GcItem(path, path.stat().st_size, None, "left by a process that was killed")
