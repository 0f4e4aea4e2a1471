"""Models out of artifacts, loaded once a process, and one at a time on the device.

torch takes seconds to import, so it is imported when a model is: a run that makes nothing needs none.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from segspade_core.config import RuntimeConfig
from storage.refs import ArtifactRef
from storage.store import Store

if TYPE_CHECKING:
    import torch

    from segspade_core.segmentation import Segmenter
    from segspade_core.spade import Generator

_turn = threading.Lock()
_loading = threading.Lock()


def device_turn() -> threading.Lock:
    """Hold it while a model computes, one at a time in a process.

    torch uses every core for one batch: two at once would get in each other's way, and share a GPU's memory.
    A function and no lock, since Dask sends a task with the globals it uses, and a lock cannot be sent.
    """
    return _turn


def segmenter_of(workspace: Path, ref: ArtifactRef, runtime: RuntimeConfig) -> tuple[Segmenter, torch.device]:
    """The best segmenter of an artifact, on the device that `runtime` asks for, in evaluation mode."""
    with _loading:
        device = _device(runtime)
        return _segmenter(workspace, ref, device), device


def generator_of(workspace: Path, ref: ArtifactRef, runtime: RuntimeConfig) -> tuple[Generator, torch.device]:
    """The generator of an artifact, on the device that `runtime` asks for, in evaluation mode."""
    with _loading:
        device = _device(runtime)
        return _generator(workspace, ref, device), device


def device_name(runtime: RuntimeConfig) -> str:
    """What manifests call the device that `runtime` asks for."""
    import torch

    device = _device(runtime)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _device(runtime: RuntimeConfig) -> torch.device:
    import torch

    from segspade_core.training.device import pick_device

    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    return pick_device(runtime.device)


@lru_cache(maxsize=1)
def _segmenter(workspace: Path, ref: ArtifactRef, device: torch.device) -> Segmenter:
    from segspade_core.segmentation import load_segmenter

    return load_segmenter(*_weights(workspace, ref)).to(device).eval()


@lru_cache(maxsize=1)
def _generator(workspace: Path, ref: ArtifactRef, device: torch.device) -> Generator:
    from segspade_core.spade import load_generator

    return load_generator(*_weights(workspace, ref)).to(device).eval()


def _weights(workspace: Path, ref: ArtifactRef) -> tuple[bytes, str]:
    store = Store(workspace)
    store.check_files(ref)
    path = store.path(ref) / "model.safetensors"
    return path.read_bytes(), str(path)
