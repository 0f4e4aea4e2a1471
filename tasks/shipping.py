"""Put a trained model where it ships with the project: `python -m tasks.shipping KIND RUN NAME WORKSPACE`.

For who trains one anew, after `segspade run configs/minicity-generator.yaml` or minicity-segmenter.yaml.
Weights are stored in 16 bits, in half the space; the manifest beside them tells the run: config, data,
seconds, scores.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from segspade_core.segmentation import load_segmenter, pack_segmenter
from segspade_core.shipped import FOLDER
from segspade_core.spade import load_generator, load_style_encoder, pack_generator
from storage.files import put_bytes
from storage.store import Store


def ship(workspace: Path, kind: str, run: str, name: str, folder: Path = FOLDER) -> None:
    """Write `<name>.safetensors` and `<name>.json` of the model and scores that `run` named.

    Args:
        kind: 'generator' or 'segmenter'.

    Raises:
        MissingArtifact: the run has made no such artifacts.
    """
    store = Store(workspace)
    model = store.resolve(f"{kind}/{run}", kinds=tuple(_PACKERS))
    scores = store.resolve(f"scores/{run}")
    store.check_files(model)
    path = store.path(model) / "model.safetensors"
    about = store.manifest(model).model_dump(mode="json", exclude={"files"})
    data = [store.manifest(ref) for ref in store.lineage(model) if ref != model]
    about["made_from"] = [
        each.model_dump(mode="json", include={"kind", "key", "stage", "config", "counts", "inputs"})
        for each in data
    ]
    summary = json.loads((store.path(scores) / "scores.json").read_bytes())
    about["scores"] = {"key": scores.key, **summary}
    put_bytes(folder / f"{name}.json", (json.dumps(about, indent=1) + "\n").encode())
    put_bytes(folder / f"{name}.safetensors", _PACKERS[kind](path.read_bytes(), str(path)))


def _half_generator(content: bytes, source: str) -> bytes:
    encoder = load_style_encoder(content, source)
    return pack_generator(load_generator(content, source), style_encoder=encoder, half=True)


def _half_segmenter(content: bytes, source: str) -> bytes:
    return pack_segmenter(load_segmenter(content, source), half=True)


_PACKERS = {"generator": _half_generator, "segmenter": _half_segmenter}


if __name__ == "__main__":
    ship(Path(sys.argv[4]), *sys.argv[1:4])
