"""Give what a run made a name, so that it is found again and not collected as garbage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from storage.aliases import Aliases
from storage.refs import ArtifactRef


def name_results(workspace: Path, name: str, made: Sequence[ArtifactRef]) -> None:
    """Point the alias `name` of each kind to what was made now; what it pointed to stays in its history."""
    aliases = Aliases(workspace)
    for ref in made:
        if aliases.get(ref.kind, name) != ref.key:
            aliases.set(ref.kind, name, ref.key, reason=f"made by run '{name}'")
