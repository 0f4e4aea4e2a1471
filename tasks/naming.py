"""What a run is called and found by, and the name of what it made, so that it is not collected as garbage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
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
    settings = _plain(flow_run.parameters["config"])
    digest = artifact_key("run", 0, {**settings, "runtime": None}, {})
    return f"{flow_run.flow_name} {settings['name']} {digest[:4]}"


def batch_name() -> str:
    """What a batch run is called: its flow, and what goes through which models."""
    asked = _plain(flow_run.parameters["what"])
    words = [value for value in asked.values() if isinstance(value, str)]
    return " ".join([str(flow_run.flow_name), *words])


def stage_name() -> str:
    """What a run of a single stage is called: the stage, and the artifacts that go in."""
    given = flow_run.parameters.values()
    words = [f"{value.kind}/{value.key[:6]}" for value in given if isinstance(value, ArtifactRef)]
    return " ".join([str(flow_run.flow_name), *words])


def tag_run(_flow: Any, run: Any, _state: Any) -> None:
    """Hook for flows that begin to run: tags that name dataset and models, for the UI to filter by."""
    given = run.parameters
    tags = _journey_tags(_plain(given["config"])) if "config" in given else _batch_tags(_plain(given["what"]))
    with get_client(sync_client=True) as client:
        client.update_flow_run(run.id, tags=sorted({*run.tags, "segspade", *tags}))


def _journey_tags(config: Mapping[str, Any]) -> list[str]:
    segmenter, generator = config["segmenter"], config["generator"]
    source = (
        f"imported:{Path(str(generator['weights'])).name}" if generator["kind"] == "import" else "trained"
    )
    return [f"dataset:{config['name']}", f"segmenter:{segmenter['encoder']}", f"generator:{source}"]


def _batch_tags(what: Mapping[str, Any]) -> list[str]:
    """As asked for: `segmenter/production` is the tag segmenter:production."""
    named = [what.get(field) for field in ("dataset", "images", "label_maps", "segmenter", "generator")]
    made = [f"dataset:{what['name']}"] if "name" in what else []
    return [name.replace("/", ":") for name in named if name is not None] + made


def _plain(given: Any) -> dict[str, Any]:
    """Settings as they are read from JSON: a run that a person started has them as a model."""
    return dict(given if isinstance(given, dict) else given.model_dump(mode="json"))
