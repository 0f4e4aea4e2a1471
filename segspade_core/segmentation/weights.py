"""Segmenters ↔ bytes, and the files that a training may start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from segspade_core.errors import WeightsError
from segspade_core.segmentation.imagenet import imagenet_weights
from segspade_core.segmentation.model import Segmenter
from segspade_core.training.checkpoint import pack_weights
from segspade_core.training.weights_file import (
    fit,
    read_bytes,
    read_entries,
    read_safetensors,
    without_prefix,
)

_KIND = "segmenter"
_REMEDY = (
    "give segmenter.weights the path of a .safetensors file of a segmenter, or of a .pth file of a "
    "torchvision ResNet, or 'imagenet' or 'none'"
)


def pack_segmenter(model: Segmenter, extra: Mapping[str, Any] | None = None) -> bytes:
    """A safetensors file of the network; its metadata says which encoder and how many classes.

    Args:
        extra: JSON kept beside it.
    """
    architecture = {"encoder": model.encoder_name, "num_classes": model.num_classes}
    return pack_weights(model.state_dict(), {**(extra or {}), "kind": _KIND, **architecture})


def load_segmenter(content: bytes, source: str = "weights") -> Segmenter:
    """The network of `pack_segmenter`, in evaluation mode on the CPU.

    Raises:
        WeightsError: no safetensors file of a segmenter, or it does not fit what it says it is.
    """
    entries, metadata = read_safetensors(content, source, _KIND)
    encoder, num_classes = metadata.get("encoder"), metadata.get("num_classes")
    if not isinstance(encoder, str) or not isinstance(num_classes, int):
        raise WeightsError(
            f"{source}: its metadata names no encoder and number of classes, so it is not a segmenter of "
            "SegSPADE; weights of an encoder alone can start a training (segmenter.weights)"
        )
    with torch.device("meta"):
        try:
            network = Segmenter(encoder, num_classes)
        except (ValueError, AttributeError) as error:
            raise WeightsError(f"{source}: '{encoder}' is no encoder this version knows") from error
    network.load_state_dict(
        fit(entries, network.state_dict(), source, _describe(encoder, num_classes), _remedy(encoder)),
        assign=True,
    )
    network.set_normalisation()
    return network.eval().requires_grad_(False)


def start_from(model: Segmenter, weights: str) -> None:
    """Put the weights a training starts from into a fresh model.

    Args:
        weights: 'none' leaves it as it is; 'imagenet' takes torchvision's encoder; else the path of a file.
            A segmenter of ours gives its encoder, and its head if the class count is the same; a torchvision
            state dict (.pth or safetensors, with `fc` or without) gives the encoder.

    Raises:
        WeightsError: nothing can be downloaded, or the file is unreadable or does not fit; the message names
            the entry and the remedy. Nothing else is taken instead.
    """
    if weights == "none":
        return
    if weights == "imagenet":
        content, source = imagenet_weights(model.encoder_name)
    else:
        content, source = read_bytes(weights, _REMEDY), weights
    entries, metadata = read_entries(content, source, _KIND)
    entries = without_prefix(entries)
    if metadata.get("kind") == _KIND:
        _start_from_segmenter(model, entries, source)
    else:
        _load_encoder(model, {name: e for name, e in entries.items() if not name.startswith("fc.")}, source)


def _start_from_segmenter(model: Segmenter, entries: Mapping[str, Tensor], source: str) -> None:
    classifier = entries.get("classifier.weight")
    if classifier is not None and len(classifier) == model.num_classes:
        described = _describe(model.encoder_name, model.num_classes)
        model.load_state_dict(
            fit(entries, model.state_dict(), source, described, _remedy(model.encoder_name))
        )
        return
    encoder = {name: entry for name, entry in entries.items() if name.startswith("encoder.")}
    _load_encoder(model, {name.removeprefix("encoder."): e for name, e in encoder.items()}, source)


def _load_encoder(model: Segmenter, entries: Mapping[str, Tensor], source: str) -> None:
    expected = model.encoder.state_dict()
    described = f"a torchvision {model.encoder_name}"
    model.encoder.load_state_dict(fit(entries, expected, source, described, _remedy(model.encoder_name)))


def _describe(encoder: str, num_classes: int) -> str:
    return f"a segmenter of {encoder} with {num_classes} classes"


def _remedy(encoder: str) -> str:
    return f"set segmenter.encoder to what the file was trained as, which is not {encoder}"
