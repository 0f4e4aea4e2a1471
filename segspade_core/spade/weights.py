"""Generators ↔ bytes: our own safetensors, and published checkpoints read without running their pickles."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from segspade_core.config import GeneratorArchitecture, GeneratorImportConfig
from segspade_core.errors import InputError, WeightsError
from segspade_core.spade.generator import Generator
from segspade_core.spade.shipped import shipped_weights
from segspade_core.training.checkpoint import pack_weights, unpack_weights

_KIND = "generator"
_SHIPPED = "shipped:"
_COUNTER = "num_batches_tracked"


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
    entries, metadata = _read_safetensors(content, source)
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
    expected = network.state_dict()
    for name, tensor in expected.items():
        if name.endswith(_COUNTER):
            entries.setdefault(name, torch.zeros((), dtype=torch.int64))
        if name not in entries:
            raise WeightsError(
                f"{source}: entry '{name}' of shape {_shape(tensor)} is missing; is this a SPADE "
                f"generator of {_describe(architecture)}?"
            )
        if entries[name].shape != tensor.shape:
            raise WeightsError(
                f"{source}: entry '{name}' has shape {_shape(entries[name])}, the network wants "
                f"{_shape(tensor)}; give the architecture it was trained with, not {_describe(architecture)}"
            )
        if not torch.isfinite(entries[name]).all():
            raise WeightsError(
                f"{source}: entry '{name}' holds NaN or infinite values; use an earlier checkpoint"
            )
    unknown = sorted(set(entries) - set(expected))
    if unknown:
        raise WeightsError(
            f"{source}: entry '{unknown[0]}' of shape {_shape(entries[unknown[0]])} has no place in a "
            f"SPADE generator of {_describe(architecture)} ({len(unknown)} such entries)"
        )
    network.load_state_dict({name: entries[name].to(expected[name].dtype) for name in expected}, assign=True)
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
        content = _read_file(config.weights)
    entries, metadata = _read_entries(content, config.weights)
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


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); give the path of a .safetensors or .pth file of a "
            "SPADE generator, or 'shipped:minicity'"
        ) from error


def _read_entries(content: bytes, source: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Entries and metadata; what is no zip and no pickle is taken for safetensors."""
    if content[:2] in (b"PK", b"\x80\x02"):
        return _read_pickle(content, source), {}
    return _read_safetensors(content, source)


def _read_pickle(content: bytes, source: str) -> dict[str, Tensor]:
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{source}: not a plain checkpoint of tensors ({str(error).splitlines()[0]}); such files can run "
            "code when loaded, so nothing else is read. Save its state dict alone, or use safetensors"
        ) from error
    if not isinstance(loaded, Mapping) or not all(isinstance(entry, Tensor) for entry in loaded.values()):
        raise WeightsError(f"{source}: holds no state dict of tensors; save `generator.state_dict()` alone")
    return dict(loaded)


def _read_safetensors(content: bytes, source: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        entries, metadata = unpack_weights(content, source)
    except InputError as error:
        raise WeightsError(str(error)) from error
    if metadata.get("kind", _KIND) != _KIND:
        raise WeightsError(f"{source}: weights of a {metadata['kind']}, not of a generator")
    return entries, metadata


def _parse_architecture(metadata: Mapping[str, Any], source: str) -> GeneratorArchitecture:
    try:
        return GeneratorArchitecture.model_validate(metadata["architecture"])
    except ValidationError as error:
        raise WeightsError(
            f"{source}: its metadata holds no architecture this version knows ({error.errors()[0]['msg']})"
        ) from error


def _tidy(entries: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Without the prefix that data-parallel training leaves; the variant with a style encoder is refused."""
    if entries and all(name.startswith("module.") for name in entries):
        entries = {name.removeprefix("module."): tensor for name, tensor in entries.items()}
    first = entries.get("fc.weight")
    if first is not None and first.ndim == 2:
        raise WeightsError(
            f"{source}: entry 'fc.weight' has shape {_shape(first)}: a linear layer from {first.shape[1]} "
            "style numbers. This is the variant with a style encoder (VAE), which cannot be used yet; take a "
            "generator trained without"
        )
    return dict(entries)


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"


def _describe(architecture: GeneratorArchitecture) -> str:
    return ", ".join(f"{name} {value}" for name, value in architecture.model_dump().items())
