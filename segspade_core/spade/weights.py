"""Generators ↔ bytes, in our own form: one safetensors file that says its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import WeightsError
from segspade_core.spade.code import code_dim
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.spectral import SpectralConv2d
from segspade_core.spade.style import StyleEncoder
from segspade_core.training.checkpoint import halved, pack_weights
from segspade_core.training.weights_file import fit, read_safetensors

KIND = "generator"  # what the metadata of our files says
_STYLE_ENCODER = "style_encoder."
_CODE_BOOK = "code_book."


def pack_generator(
    model: SpadeGenerator,
    architecture: GeneratorArchitecture | None = None,
    extra: Mapping[str, Any] | None = None,
    *,
    style_encoder: StyleEncoder | None = None,
    half: bool = False,
) -> bytes:
    """A safetensors file of the network, with its architecture in the metadata.

    Args:
        architecture: of `model`, by default the one it was built with.
        extra: JSON kept beside it.
        style_encoder: kept in the same file; only `load_style_encoder` looks at it.
        half: store weights of convolutions and linear layers as float16, see `halved`; the few numbers that
            stand for cities and times of day keep 32 bits, as batch statistics, u, v and biases do.
    """
    architecture = architecture or model.architecture
    entries = dict(model.state_dict())
    if style_encoder is not None:
        entries |= {_STYLE_ENCODER + name: tensor for name, tensor in style_encoder.state_dict().items()}
    if half:
        entries = {
            name: tensor if name.startswith(_CODE_BOOK) else halved(tensor)
            for name, tensor in entries.items()
        }
    return pack_weights(
        entries, {**(extra or {}), "kind": KIND, "architecture": architecture.model_dump(mode="json")}
    )


def load_generator(content: bytes, source: str = "weights") -> SpadeGenerator:
    """The network of `pack_generator`, in evaluation mode on the CPU; a style encoder beside it is left.

    Raises:
        WeightsError: no safetensors file of a generator, or it does not fit its architecture.
    """
    entries, metadata = read_safetensors(content, source, KIND)
    return build_generator(split_entries(entries)[0], read_architecture(metadata, source), source)


def load_style_encoder(content: bytes, source: str = "weights") -> StyleEncoder | None:
    """The style encoder that `pack_generator` was given, in evaluation mode on the CPU; None without one.

    Raises:
        WeightsError: no safetensors file of a generator, or the encoder does not fit its architecture.
    """
    entries, metadata = read_safetensors(content, source, KIND)
    return build_style_encoder(split_entries(entries)[1], read_architecture(metadata, source), source)


def split_entries(entries: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Entries of a file → those of the generator, and those of the style encoder under its own names."""
    encoder = {name: entry for name, entry in entries.items() if name.startswith(_STYLE_ENCODER)}
    generator = {name: entry for name, entry in entries.items() if name not in encoder}
    return generator, {name.removeprefix(_STYLE_ENCODER): entry for name, entry in encoder.items()}


def build_generator(
    entries: Mapping[str, Tensor], architecture: GeneratorArchitecture, source: str
) -> SpadeGenerator:
    """A network from the entries of its state dict, in evaluation mode on the CPU.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not finite; or one is such that only
            NaN can be painted: a variance below 0, or a weight that cannot be divided by its spectral norm.
    """
    with torch.device("meta"):
        network = SpadeGenerator(architecture)
    described = describe(architecture)
    fitting = fit(
        entries,
        network.state_dict(),
        source,
        network=f"a SPADE generator of {described}",
        remedy=f"if the file is right, it is not of {described}: give the architecture it was trained with",
    )
    network.load_state_dict(fitting, assign=True)
    _check_spectral_norms(network, source)
    return network.eval().requires_grad_(False)


def build_style_encoder(
    entries: Mapping[str, Tensor], architecture: GeneratorArchitecture, source: str
) -> StyleEncoder | None:
    """The same of a style encoder; None of no entries.

    Raises:
        WeightsError: likewise.
    """
    if not entries:
        return None
    if not architecture.style_dim:
        raise WeightsError(
            f"{source}: holds a style encoder ({min(entries)!r}, ...), but its architecture has style_dim 0; "
            "give the architecture it was trained with"
        )
    with torch.device("meta"):
        network = StyleEncoder(architecture)
    source = f"{source} (style encoder)"
    described = f"style_dim {architecture.style_dim} and style_width {architecture.style_width}"
    fitting = fit(
        entries,
        network.state_dict(),
        source,
        network=f"a style encoder of {described}",
        remedy=f"if the file is right, it is not of {described}: give the architecture it was trained with",
    )
    network.load_state_dict(fitting, assign=True)
    _check_spectral_norms(network, source)
    return network.eval().requires_grad_(False)


def _check_spectral_norms(network: nn.Module, source: str) -> None:
    """Raise WeightsError where a weight divided by its spectral norm is not finite."""
    for name, conv in network.named_modules():
        if not isinstance(conv, SpectralConv2d):
            continue
        sigma, largest = conv.sigma(), torch.linalg.vector_norm(conv.weight_orig, torch.inf)
        # below 0 is sound: so are half of those that were never trained, whose u and v are drawn at random
        if not torch.isfinite(largest / sigma):
            parts = ("weight_u", "weight_v", "weight_orig")
            zero = next((part for part in parts if not getattr(conv, part).any()), parts[-1])
            raise WeightsError(
                f"{source}: entry '{name}.{zero}' makes the spectral norm u^T W v of this convolution "
                f"{float(sigma):g}, and its weight cannot be divided by that; use an earlier checkpoint"
            )


def read_architecture(metadata: Mapping[str, Any], source: str) -> GeneratorArchitecture:
    """What the metadata of our own files says; settings that an older version did not have get their default.

    Raises:
        WeightsError: it says none, or one with settings of a newer version.
    """
    if "architecture" not in metadata:
        raise WeightsError(
            f"{source}: its metadata names no architecture, so SegSPADE has not written it; `segspade "
            "import-generator` takes files of others"
        )
    try:
        return GeneratorArchitecture.model_validate(metadata["architecture"])
    except ValidationError as error:
        problem = error.errors()[0]
        setting = ".".join(map(str, problem["loc"])) or "architecture"
        raise WeightsError(
            f"{source}: its metadata holds no architecture this version knows ({setting}: {problem['msg']})"
        ) from error


def describe(architecture: GeneratorArchitecture) -> str:
    """What shapes depend on, in a few words for messages."""
    edges = "with instance edges" if architecture.instance_edges else "without instance edges"
    words = [
        f"{architecture.num_labels} labels {edges}",
        f"width {architecture.width} (at most {architecture.max_channels})",
        f"hidden {architecture.hidden}",
        f"{architecture.upsamplings} upsamplings",
    ]
    if architecture.linear_head is not None:
        height, width = architecture.linear_head
        words.append(f"a linear head of {height}x{width} from {architecture.style_dim} style numbers")
    elif code_dim(architecture):
        words.append(f"a code of {code_dim(architecture)} numbers")
    return ", ".join(words)
