"""Put a trained generator where it ships with the project: `python -m tasks.shipping RUN NAME WORKSPACE`.

For who trains it anew, after `segspade run configs/minicity-generator.yaml`. Weights are stored
in 16 bits, in half the space; the manifest beside them tells the run: config, data, seconds, scores.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from segspade_core.shipped import FOLDER
from segspade_core.spade import load_generator, load_style_encoder, pack_generator
from storage.files import put_bytes
from storage.store import Store


def ship(workspace: Path, run: str, name: str, folder: Path = FOLDER) -> None:
    """Write `<name>.safetensors` and `<name>.json` of the generator and scores that `run` named.

    Raises:
        MissingArtifact: the run has made no such artifacts.
    """
    store = Store(workspace)
    generator = store.resolve(f"generator/{run}")
    scores = store.resolve(f"scores/{run}")
    store.check_files(generator)
    path = store.path(generator) / "model.safetensors"
    about = store.manifest(generator).model_dump(mode="json", exclude={"files"})
    data = [store.manifest(ref) for ref in store.lineage(generator) if ref != generator]
    about["made_from"] = [
        each.model_dump(mode="json", include={"kind", "key", "stage", "config", "counts", "inputs"})
        for each in data
    ]
    summary = json.loads((store.path(scores) / "scores.json").read_bytes())
    about["scores"] = {"key": scores.key, **summary}
    put_bytes(folder / f"{name}.json", (json.dumps(about, indent=1) + "\n").encode())
    content, source = path.read_bytes(), str(path)
    encoder = load_style_encoder(content, source)
    weights = pack_generator(load_generator(content, source), style_encoder=encoder, half=True)
    put_bytes(folder / f"{name}.safetensors", weights)


if __name__ == "__main__":
    ship(Path(sys.argv[3]), sys.argv[1], sys.argv[2])
