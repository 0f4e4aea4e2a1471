"""Generators ↔ bytes: our own safetensors, and published checkpoints read without running their pickles."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from segspade_core.config import GeneratorArchitecture, GeneratorImportConfig
from segspade_core.errors import WeightsError
from segspade_core.spade.generator import Generator
from segspade_core.spade.shipped import shipped_weights
from segspade_core.training.checkpoint import pack_weights
from segspade_core.training.weights_file import (
    fit,
    read_bytes,
    read_entries,
    read_safetensors,
    shape_of,
    without_prefix,
)

_KIND = "generator"
_SHIPPED = "shipped:"
_REMEDY = "give the path of a .safetensors or .pth file of a SPADE generator, or 'shipped:minicity'"


def pack_generator(
    model: Generator,
    architecture: GeneratorArchitecture | None = None,
    extra: Mapping[str, Any] | None = None,
    *,
    half: bool = False,
) -> bytes:
    """A safetensors file of the network, with its architecture in the metadata.

    Args:
        architecture: of `model`, by default the one it was built with.
        extra: JSON kept beside it.
        half: store convolution weights as float16, in half the space; batch statistics, u, v and biases keep
            32 bits. Loading makes float32 of them again.
    """
    architecture = architecture or model.architecture
    entries = {
        name: tensor.half() if half and tensor.ndim == 4 else tensor
        for name, tensor in model.state_dict().items()
    }
    return pack_weights(
        entries, {**(extra or {}), "kind": _KIND, "architecture": architecture.model_dump(mode="json")}
    )


def load_generator(content: bytes, source: str = "weights") -> Generator:
    """The network of `pack_generator`, in evaluation mode on the CPU.

    Raises:
        WeightsError: no safetensors file of a generator, or it does not fit its architecture.
    """
    entries, metadata = read_safetensors(content, source, _KIND)
    if "architecture" in metadata:
        architecture = _parse_architecture(metadata, source)
    else:
        architecture = infer_architecture(_tidy(entries, source), source)
    return build_generator(entries, architecture, source)


def build_generator(
    entries: Mapping[str, Tensor], architecture: GeneratorArchitecture, source: str
) -> Generator:
    """A network from state-dict entries with published names, in evaluation mode on the CPU.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not finite.
    """
    entries = _tidy(entries, source)
    with torch.device("meta"):
        network = Generator(architecture)
    described = _describe(architecture)
    fitting = fit(
        entries,
        network.state_dict(),
        source,
        network=f"a SPADE generator of {described}",
        remedy=f"give the architecture it was trained with, not {described}",
    )
    network.load_state_dict(fitting, assign=True)
    return network.eval().requires_grad_(False)


def infer_architecture(entries: Mapping[str, Tensor], source: str) -> GeneratorArchitecture:
    """The architecture that the shapes of published-style entries tell.

    Shapes leave two things open: the last input channel is taken for instance edges, and of five and six
    upsamplings with four `up` blocks six, as the published Cityscapes network has them.

    Raises:
        WeightsError: the entries are not those of a SPADE generator.
    """
    names = ("fc.weight", "conv_img.weight", "head_0.norm_0.mlp_shared.0.weight")
    missing = [name for name in names if name not in entries]
    if missing:
        raise WeightsError(
            f"{source}: entry '{missing[0]}' is missing: these are not the weights of a SPADE generator"
        )
    head, channels = entries["fc.weight"].shape[:2]
    width, hidden = entries["conv_img.weight"].shape[1], entries[names[2]].shape[0]
    ups = sum(1 for index in range(8) if f"up_{index}.conv_0.weight_orig" in entries)
    return GeneratorArchitecture(
        num_labels=channels - 1,
        instance_edges=True,
        width=width,
        max_channels=max(head, 1024) if head >= width * 2 ** min(4, ups) else head,
        hidden=hidden,
        upsamplings=ups + 2 if ups >= 4 else ups + 1,
    )


def import_generator(config: GeneratorImportConfig) -> tuple[bytes, dict[str, Any]]:
    """Weights from elsewhere, checked, as `pack_generator` writes them.

    Returns:
        The bytes, and what is known of them: source, sha256 of what was read, parameters, architecture, and
        for shipped weights the manifest of the run that made them.

    Raises:
        WeightsError: the file is missing, unreadable or does not fit; the message names file and remedy.
    """
    manifest: dict[str, Any] | None = None
    if config.weights.startswith(_SHIPPED):
        content, manifest = shipped_weights(config.weights.removeprefix(_SHIPPED))
    else:
        content = read_bytes(config.weights, _REMEDY)
    entries, metadata = read_entries(content, config.weights, _KIND)
    if config.generator is not None:
        architecture = config.generator
    elif "architecture" in metadata:
        architecture = _parse_architecture(metadata, config.weights)
    else:
        architecture = infer_architecture(_tidy(entries, config.weights), config.weights)
    network = build_generator(entries, architecture, config.weights)
    info = {
        "source": config.weights if manifest is not None else Path(config.weights).name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "architecture": architecture.model_dump(mode="json"),
    }
    if manifest is not None:
        info["manifest"] = manifest
    return pack_generator(network), info


def _parse_architecture(metadata: Mapping[str, Any], source: str) -> GeneratorArchitecture:
    try:
        return GeneratorArchitecture.model_validate(metadata["architecture"])
    except ValidationError as error:
        raise WeightsError(
            f"{source}: its metadata holds no architecture this version knows ({error.errors()[0]['msg']})"
        ) from error


def _tidy(entries: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Without the prefix that data-parallel training leaves; the variant with a style encoder is refused."""
    entries = without_prefix(entries)
    first = entries.get("fc.weight")
    if first is not None and first.ndim == 2:
        raise WeightsError(
            f"{source}: entry 'fc.weight' has shape {shape_of(first)}: a linear layer from {first.shape[1]} "
            "style numbers. This is the variant with a style encoder (VAE), which cannot be used yet; take a "
            "generator trained without"
        )
    return entries


def _describe(architecture: GeneratorArchitecture) -> str:
    return ", ".join(f"{name} {value}" for name, value in architecture.model_dump().items())
