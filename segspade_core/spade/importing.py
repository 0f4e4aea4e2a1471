"""Generators that were trained elsewhere, ours or published, → our own form, and what is known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from segspade_core.config import GeneratorArchitecture, GeneratorImportConfig
from segspade_core.errors import WeightsError
from segspade_core.shipped import shipped_weights
from segspade_core.spade.code import code_dim
from segspade_core.spade.published import infer_architecture
from segspade_core.spade.weights import (
    KIND,
    build_generator,
    build_style_encoder,
    pack_generator,
    read_architecture,
    split_entries,
)
from segspade_core.training.weights_file import read_bytes, read_entries, without_prefix

_SHIPPED = "shipped:"
_REMEDY = "give the path of a .safetensors or .pth file of a SPADE generator, or 'shipped:minicity'"


def import_generator(config: GeneratorImportConfig) -> tuple[bytes, dict[str, Any]]:
    """Weights from elsewhere, checked, as `pack_generator` writes them.

    Returns:
        The bytes, and what is known of them: source, sha256 of what was read, parameters, variant,
        architecture, whether a style encoder came along, what about the architecture is assumed, and for
        shipped weights the manifest of the run that made them.

    Raises:
        WeightsError: the file is missing, unreadable or does not fit; the message names file and remedy.
    """
    source, manifest = config.weights, None
    if source.startswith(_SHIPPED):
        content, manifest = shipped_weights(source.removeprefix(_SHIPPED))
    else:
        content = read_bytes(source, _REMEDY)
    digest = hashlib.sha256(content).hexdigest()
    entries, metadata = read_entries(content, source, KIND)
    del content  # as large as the network
    entries, of_encoder = split_entries(without_prefix(entries))
    architecture, assumed = _told(config, entries, metadata)
    network = build_generator(entries, architecture, source)
    encoder = build_style_encoder(of_encoder, architecture, source)
    about = {
        "source": source if manifest is not None else Path(source).name,
        "sha256": digest,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "variant": variant(architecture),
        "architecture": architecture.model_dump(mode="json"),
        "assumed": assumed,
        "style_encoder": encoder is not None,
    }
    if manifest is not None:
        about["manifest"] = manifest
    return pack_generator(network, style_encoder=encoder), about


def _told(
    config: GeneratorImportConfig, entries: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> tuple[GeneratorArchitecture, dict[str, Any]]:
    """The architecture by config, by metadata, or by shapes; and what of it is assumed."""
    open_settings = (config.instance_edges, config.upsamplings, config.linear_head)
    if config.generator is not None:
        return config.generator, {}
    if "architecture" not in metadata:
        return infer_architecture(entries, config.weights, *open_settings)
    if open_settings != (None, None, None):
        raise WeightsError(
            f"{config.weights}: its metadata tells the architecture; leave instance_edges, upsamplings and "
            "linear_head out"
        )
    return read_architecture(metadata, config.weights), {}


def variant(architecture: GeneratorArchitecture) -> str:
    """'plain' paints from the label map alone, 'coded' from a code as well; 'vae' starts from the code."""
    if architecture.linear_head is not None:
        return "vae"
    return "coded" if code_dim(architecture) else "plain"
