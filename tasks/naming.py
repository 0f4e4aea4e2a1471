"""Give what a run made a name, so that it is found again and not collected as garbage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect.runtime import flow_run

from storage.aliases import Aliases
from storage.keys import artifact_key
from storage.refs import ArtifactRef


def name_results(workspace: Path, name: str, made: Sequence[ArtifactRef]) -> None:
    """Point the alias `name` of each kind to what was made now; what it pointed to stays in its history."""
    aliases = Aliases(workspace)
    for ref in made:
        if aliases.get(ref.kind, name) != ref.key:
            aliases.set(ref.kind, name, ref.key, reason=f"made by run '{name}'")


def run_name() -> str:
    """What the run that begins is called: its flow, its config's name, and a digest of the whole config."""
    config = flow_run.parameters["config"]
    settings = config if isinstance(config, dict) else config.model_dump(mode="json")
    digest = artifact_key("run", 0, {**settings, "runtime": None}, {})
    return f"{flow_run.flow_name} {settings['name']} {digest[:4]}"


def batch_name() -> str:
    """What a batch run is called: its flow, and what goes through which models."""
    what = flow_run.parameters["what"]
    asked = what if isinstance(what, dict) else what.model_dump(mode="json")
    words = [str(value) for value in asked.values() if isinstance(value, str)]
    return " ".join([str(flow_run.flow_name), *words])
