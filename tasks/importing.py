"""Import a generator that was trained elsewhere: the one that ships here, or a file of weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect import task

from segspade_core.config import GeneratorArchitecture, GeneratorImportConfig, RuntimeConfig
from segspade_core.errors import InputError
from storage.files import put_bytes, sha256_file
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.inputs import generator_weights
from tasks.plan import Plan
from tasks.stage import tell

REVISION = 2


def plan_import(workspace: Path, config: GeneratorImportConfig, runtime: RuntimeConfig | None = None) -> Plan:
    """What importing the weights that `config` names makes.

    Raises:
        InputError: there is no such file.
    """
    path = generator_weights(config.weights)
    # weights count by their content, not by their name
    content = _shipped_digest(config.weights) if path is None else sha256_file(path)
    return Plan(
        workspace=workspace,
        stage="import-generator",
        kind="generator",
        revision=REVISION,
        config={
            **config.model_dump(mode="json"),
            "weights": config.weights if path is None else f"sha256:{content}",
        },
        inputs={"weights": f"source/{content[:32]}"},
        runtime=runtime or RuntimeConfig(),
        place=path and path.absolute(),
    )


def _shipped_digest(name: str) -> str:
    from hashlib import sha256

    from segspade_core.shipped import shipped_weights

    return sha256(shipped_weights(name.removeprefix("shipped:"))[0]).hexdigest()


@task(name="import", task_run_name="{plan.stage} {plan.key}")
def import_weights(plan: Plan) -> dict[str, Any]:
    """Read the weights, check that they fit, and put them down in our own format.

    Returns:
        'metrics' for the manifest. All that is known of the weights goes into about.json.

    Raises:
        WeightsError: the file cannot be read, or does not fit the network.
    """
    from segspade_core.spade import import_generator

    config = GeneratorImportConfig(**plan.config)
    if plan.place is not None:
        config = config.model_copy(update={"weights": str(plan.place)})
    content, about = import_generator(config)
    if about["assumed"]:
        tell(_assumptions(about))
    put_bytes(plan.staging / "model.safetensors", content)
    put_bytes(plan.staging / "about.json", (json.dumps(about, indent=2, sort_keys=True) + "\n").encode())
    return {"metrics": {"parameters": about["parameters"]}}


def _assumptions(about: dict[str, Any]) -> str:
    """What the shapes in a file of others leave open, and how it was taken."""
    taken = ", ".join(f"{name} {json.dumps(value)}" for name, value in about["assumed"].items())
    return (
        f"{about['source']}: its shapes leave open what is taken as {taken}; if it was trained otherwise, "
        f"say so in the settings of the import: {' '.join(f'--set {name}=…' for name in about['assumed'])}"
    )


def check_fits(workspace: Path, generator: ArtifactRef, size: tuple[int, int]) -> None:
    """See that an imported generator can paint maps of a size, (H, W), before anything is made for it.

    Raises:
        InputError: it cannot; the message says which sizes it takes.
    """
    about = json.loads((Store(workspace).path(generator) / "about.json").read_bytes())
    architecture = GeneratorArchitecture(**about["architecture"])
    step = 2**architecture.upsamplings
    if architecture.linear_head is not None:
        only = tuple(side * step for side in architecture.linear_head)
        if size != only:
            raise InputError(
                f"ingest.size {size[0]}x{size[1]} does not suit the generator from {about['source']}: it "
                f"starts from a style code, and paints at {only[0]}x{only[1]} alone"
            )
    if size[0] % step or size[1] % step:
        raise InputError(
            f"ingest.size {size[0]}x{size[1]} does not suit the generator from {about['source']}: "
            f"both sides must be multiples of {step}"
        )
