"""Models out of artifacts, loaded once a process.

torch takes seconds to import, so it is imported when a model is: a run that makes nothing needs none.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from segspade_core.config import GeneratorArchitecture, PaintConfig, RuntimeConfig
from storage.refs import ArtifactRef
from storage.store import Store

if TYPE_CHECKING:
    import torch

    from segspade_core.segmentation import Segmenter
    from segspade_core.spade import Painter, SpadeGenerator, StyleEncoder

_loading = threading.Lock()


def segmenter_of(workspace: Path, ref: ArtifactRef, runtime: RuntimeConfig) -> tuple[Segmenter, torch.device]:
    """The best segmenter of an artifact, on the device that `runtime` asks for, in evaluation mode."""
    with _loading:
        device = device_of(runtime)
        return _segmenter(workspace, ref, device), device


@dataclass(frozen=True)
class PaintingModels:
    """All of a generator artifact that painting takes."""

    generator: SpadeGenerator  # on the CPU
    style_encoder: StyleEncoder | None  # likewise
    painter: Painter  # on the device


def painting_models(
    workspace: Path, ref: ArtifactRef, config: PaintConfig, runtime: RuntimeConfig
) -> PaintingModels:
    """The generator of an artifact, made ready to paint as `config` says on the device of `runtime`."""
    with _loading:
        return _painting(workspace, ref, config.method, config.precision, device_of(runtime))


def generator_architecture(workspace: Path, ref: ArtifactRef) -> GeneratorArchitecture:
    """The architecture of a generator artifact, without loading its weights."""
    from segspade_core.training.checkpoint import read_metadata

    return GeneratorArchitecture(**read_metadata(weights_of(workspace, ref)[0])["architecture"])


def device_name(runtime: RuntimeConfig) -> str:
    """What manifests call the device that `runtime` asks for."""
    import torch

    device = device_of(runtime)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def device_of(runtime: RuntimeConfig) -> torch.device:
    import torch

    from segspade_core.training.device import pick_device

    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    return pick_device(runtime.device)


@lru_cache(maxsize=1)
def _segmenter(workspace: Path, ref: ArtifactRef, device: torch.device) -> Segmenter:
    from segspade_core.segmentation import load_segmenter

    return load_segmenter(*weights_of(workspace, ref)).to(device).eval()


@lru_cache(maxsize=1)
def _painting(
    workspace: Path,
    ref: ArtifactRef,
    method: Literal["fast", "dense"],
    precision: Literal["fp32", "bf16"],
    device: torch.device,
) -> PaintingModels:
    from segspade_core.spade import Painter, load_generator, load_style_encoder

    weights = weights_of(workspace, ref)
    generator = load_generator(*weights)
    painter = Painter(generator, device, method, precision)
    return PaintingModels(generator, load_style_encoder(*weights), painter)


def weights_of(workspace: Path, ref: ArtifactRef) -> tuple[bytes, str]:
    store = Store(workspace)
    store.check_files(ref)
    path = store.path(ref) / "model.safetensors"
    return path.read_bytes(), str(path)
