"""Import a generator that was trained elsewhere: the one that ships here, or a file of weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect import task

from segspade_core.config import GeneratorImportConfig, RuntimeConfig
from segspade_core.errors import InputError
from segspade_core.spade import import_generator
from storage.files import put_bytes, sha256_file
from tasks.stage import Plan

REVISION = 1


def plan_import(workspace: Path, config: GeneratorImportConfig, runtime: RuntimeConfig | None = None) -> Plan:
    """What importing the weights that `config` names makes.

    Raises:
        InputError: there is no such file.
    """
    shipped = config.weights.startswith("shipped:")
    if not shipped and not Path(config.weights).is_file():
        raise InputError(
            f"{config.weights}: no such file; generator.weights is 'shipped:minicity' or a file. "
            "The published SPADE weights are not on the web any more: to train a generator of your own, "
            "say `generator: {kind: train}`"
        )
    # weights count by their content, not by their name
    content = _shipped_digest(config.weights) if shipped else sha256_file(Path(config.weights))
    return Plan(
        workspace=workspace,
        stage="import-generator",
        kind="generator",
        revision=REVISION,
        config={
            **config.model_dump(mode="json"),
            "weights": config.weights if shipped else f"sha256:{content}",
        },
        inputs={"weights": f"source/{content[:32]}"},
        runtime=runtime or RuntimeConfig(),
        place=None if shipped else Path(config.weights).absolute(),
    )


def _shipped_digest(name: str) -> str:
    from hashlib import sha256

    from segspade_core.spade import shipped_weights

    return sha256(shipped_weights(name.removeprefix("shipped:"))[0]).hexdigest()


@task(name="import", task_run_name="{plan.stage} {plan.key}")
def import_weights(plan: Plan) -> dict[str, Any]:
    """Read the weights, check that they fit, and put them down in our own format.

    Raises:
        WeightsError: the file cannot be read, or does not fit the network.
    """
    config = GeneratorImportConfig(**plan.config)
    if plan.place is not None:
        config = config.model_copy(update={"weights": str(plan.place)})
    content, about = import_generator(config)
    put_bytes(plan.staging / "model.safetensors", content)
    put_bytes(plan.staging / "about.json", (json.dumps(about, indent=2, sort_keys=True) + "\n").encode())
    return about
