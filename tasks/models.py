"""Models out of artifacts, loaded once a process, and one at a time on the device."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path

import torch

from segspade_core.config import RuntimeConfig
from segspade_core.segmentation import Segmenter, load_segmenter
from segspade_core.spade import Generator, load_generator
from segspade_core.training.device import pick_device
from storage.refs import ArtifactRef
from storage.store import Store

# torch uses every core for one batch: two at once would get in each other's way, and share a GPU's memory
device_turn = threading.Lock()

_loading = threading.Lock()


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


def _device(runtime: RuntimeConfig) -> torch.device:
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    return pick_device(runtime.device)


@lru_cache(maxsize=1)
def _segmenter(workspace: Path, ref: ArtifactRef, device: torch.device) -> Segmenter:
    return load_segmenter(*_weights(workspace, ref)).to(device).eval()


@lru_cache(maxsize=1)
def _generator(workspace: Path, ref: ArtifactRef, device: torch.device) -> Generator:
    return load_generator(*_weights(workspace, ref)).to(device).eval()


def _weights(workspace: Path, ref: ArtifactRef) -> tuple[bytes, str]:
    store = Store(workspace)
    store.check_files(ref)
    path = store.path(ref) / "model.safetensors"
    return path.read_bytes(), str(path)
