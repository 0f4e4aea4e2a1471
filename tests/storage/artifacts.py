"""Small artifacts, committed into a store."""

from __future__ import annotations

from typing import Any

from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.store import Store


def commit(store: Store, kind: str = "scores", name: str = "a", **inputs: ArtifactRef) -> ArtifactRef:
    """Commit an artifact of one small file; what tells it from others is its name."""
    made_of: dict[str, Any] = {
        "stage": "test",
        "revision": 1,
        "config": {"name": name, "kind": kind},
        "inputs": {role: str(ref) for role, ref in inputs.items()} or {"source": "source/" + "0" * 32},
    }
    ref = ArtifactRef(kind=kind, key=artifact_key(**made_of))
    with store.writer(ref) as staging:
        assert staging is not None, f"{ref} is there already"
        (staging.path / "content.txt").write_text(name)
        staging.commit(**made_of, counts={"n": 1}, metrics={"miou": 0.5}, seconds=1.25, device="cpu")
    return ref
