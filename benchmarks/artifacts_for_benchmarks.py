"""Artifacts that benchmarks put to work: a drawn dataset, and models that never learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segspade_core.config import GeneratorArchitecture, IngestConfig, MinicityConfig, RuntimeConfig
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.store import Store


def drawn_dataset(workspace: Path, frames: int, size: tuple[int, int]) -> ArtifactRef:
    """A dataset of Minicity with a train split alone; needs a Prefect server."""
    from flows import stages

    runtime = RuntimeConfig(device="cpu")
    city = stages.minicity(MinicityConfig(train=frames, val=0, size=size), workspace, runtime)
    config = IngestConfig(layout="minicity", size=size, splits=("train",))
    return stages.ingest(city, config, workspace, runtime)


def untrained_segmenter(workspace: Path, encoder: str = "resnet18") -> ArtifactRef:
    """A segmenter with random weights, committed as if it had been trained."""
    import torch

    from segspade_core.segmentation import Segmenter, pack_segmenter

    torch.manual_seed(0)
    weights = pack_segmenter(Segmenter(encoder, 34))
    return _committed(workspace, "segmenter", "train-segmenter", {"encoder": encoder}, weights)


def untrained_generator(workspace: Path, width: int) -> ArtifactRef:
    """A SPADE generator with random weights, committed as if it had been trained."""
    import torch

    from segspade_core.spade import SpadeGenerator
    from segspade_core.spade.weights import pack_generator

    torch.manual_seed(0)
    weights = pack_generator(SpadeGenerator(GeneratorArchitecture(width=width)))
    return _committed(workspace, "generator", "train-generator", {"width": width}, weights)


def _committed(workspace: Path, kind: str, stage: str, config: dict[str, Any], weights: bytes) -> ArtifactRef:
    of: dict[str, Any] = {
        "stage": stage,
        "revision": 0,
        "config": config,
        "inputs": {"source": "source/" + "0" * 32},
    }
    ref = ArtifactRef.model_validate({"kind": kind, "key": artifact_key(**of)})
    with Store(workspace).writer(ref) as staging:
        assert staging is not None, "the workspace is new"
        (staging.path / "model.safetensors").write_bytes(weights)
        staging.commit(**of)
    return ref
