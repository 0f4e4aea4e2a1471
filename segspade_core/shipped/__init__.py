"""Weights that come with the project, each with the manifest of the run that made them."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from segspade_core.errors import WeightsError

FOLDER = Path(__file__).parent  # of a checkout: where `tasks.shipping` puts what ships


def shipped_weights(name: str) -> tuple[bytes, dict[str, Any]]:
    """Safetensors bytes and manifest of the model shipped under `name`, such as 'minicity', a generator.

    Raises:
        WeightsError: nothing of this name comes with this installation.
    """
    folder = resources.files(__name__)
    weights, manifest = folder / f"{name}.safetensors", folder / f"{name}.json"
    if not (name.isidentifier() and weights.is_file() and manifest.is_file()):
        there = sorted(
            entry.name.removesuffix(".safetensors")
            for entry in folder.iterdir()
            if entry.name.endswith(".safetensors")
        )
        raise WeightsError(
            f"shipped:{name}: no such weights come with this installation (there are: "
            f"{', '.join(there) or 'none'}); install the project with its package data, train one with "
            "'segspade run configs/minicity-generator.yaml', or name a file of weights"
        )
    return weights.read_bytes(), dict(json.loads(manifest.read_text("utf-8")))
