"""Segmenters ↔ bytes, and the files that a training may start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from segspade_core.errors import WeightsError
from segspade_core.labels import NUM_TRAIN_IDS
from segspade_core.segmentation.encoders import OWN_RESNETS, TORCHVISION_RESNETS
from segspade_core.segmentation.label_space import LABEL_SPACES, LabelSpace
from segspade_core.segmentation.model import Segmenter
from segspade_core.segmentation.pretrained import encoder_weights, entries_for
from segspade_core.training.checkpoint import halved, pack_weights
from segspade_core.training.weights_file import (
    fit,
    read_bytes,
    read_entries,
    read_safetensors,
    without_prefix,
)

_KIND = "segmenter"
# of files from before there was a choice
_FIRST_HEAD = "fcn32"
_FIRST_SPACE: LabelSpace = "ids"
_REMEDY = (
    "give segmenter.weights the path of a .safetensors file of a segmenter, or of a file of the encoder as "
    "torchvision, segmentation-models-pytorch or timm publish it, or 'imagenet' or 'none'"
)


def pack_segmenter(model: Segmenter, extra: Mapping[str, Any] | None = None, *, half: bool = False) -> bytes:
    """A safetensors file of the network; its metadata says which encoder and head, and which classes.

    Args:
        extra: JSON kept beside it.
        half: store weights of convolutions and linear layers as float16, see `halved`.
    """
    architecture: dict[str, Any] = {
        "encoder": model.encoder_name,
        "head": model.head_name,
        "num_classes": model.num_classes,
    }
    if model.label_space != _FIRST_SPACE:
        architecture["label_space"] = model.label_space
    if model.untaught:
        architecture["untaught"] = list(model.untaught)
    entries = dict(model.state_dict())
    if half:
        entries = {name: halved(tensor) for name, tensor in entries.items()}
    return pack_weights(entries, {**(extra or {}), "kind": _KIND, **architecture})


def load_segmenter(content: bytes, source: str = "weights") -> Segmenter:
    """The network of `pack_segmenter`, in evaluation mode on the CPU.

    Raises:
        WeightsError: no safetensors file of a segmenter, or it does not fit what it says it is.
    """
    entries, metadata = read_safetensors(content, source, _KIND)
    encoder, num_classes = metadata.get("encoder"), metadata.get("num_classes")
    head = metadata.get("head", _FIRST_HEAD)
    if not isinstance(encoder, str) or not isinstance(num_classes, int) or not isinstance(head, str):
        raise WeightsError(
            f"{source}: its metadata names no encoder and number of classes, so it is not a segmenter of "
            "SegSPADE; weights of an encoder alone can start a training (segmenter.weights)"
        )
    space, untaught = _label_space(metadata, num_classes, source), _untaught(metadata, num_classes, source)
    try:
        network = _undrawn(encoder, num_classes, head)
    except (ValueError, AttributeError) as error:
        raise WeightsError(f"{source}: '{encoder}' is no encoder this version knows for '{head}'") from error
    network.load_state_dict(
        fit(entries, network.state_dict(), source, _describe(encoder, num_classes, head), _remedy(encoder)),
        assign=True,
    )
    network.set_normalisation()
    network.label_space, network.untaught = space, untaught
    return network.eval().requires_grad_(False)


def _label_space(metadata: Mapping[str, Any], num_classes: int, source: str) -> LabelSpace:
    """What the classes of a file are: read and not guessed, since 19 label ids are no train ids."""
    space: LabelSpace = metadata.get("label_space", _FIRST_SPACE)
    if space not in LABEL_SPACES or (space == "train_ids" and num_classes != NUM_TRAIN_IDS):
        raise WeightsError(
            f"{source}: its {num_classes} classes are said to be {str(space)!r}, which this version does not "
            f"know; there are {' and '.join(LABEL_SPACES)}, of which train_ids has {NUM_TRAIN_IDS} classes"
        )
    return space


def _untaught(metadata: Mapping[str, Any], num_classes: int, source: str) -> tuple[int, ...]:
    """Files from before they said so were taught everything, as far as is known."""
    classes = metadata.get("untaught", [])
    known = isinstance(classes, list) and all(isinstance(c, int) and 0 <= c < num_classes for c in classes)
    if not known or len(set(classes)) == num_classes:
        raise WeightsError(f"{source}: its metadata says that it was not taught {classes!r}")
    return tuple(classes)


def _undrawn(encoder: str, num_classes: int, head: str) -> Segmenter:
    """A network whose weights are to be replaced: nothing is drawn from the caller's random numbers."""
    if head == _FIRST_HEAD and encoder in OWN_RESNETS:
        with torch.device("meta"):
            return Segmenter(encoder, num_classes, head)
    # not on the meta device: some networks of the libraries compute tables that no file holds
    with torch.random.fork_rng(devices=[]):
        return Segmenter(encoder, num_classes, head)


def start_from(model: Segmenter, weights: str) -> set[int]:
    """Put the weights a training starts from into a fresh model.

    Args:
        weights: 'none' leaves it as it is; 'imagenet' takes what is known for the encoder; else the path of a
            file. A segmenter of ours gives its encoder, and its head if that and the classes are the same; a
            state dict as the encoder's publisher has it (.pth or safetensors, with a classifier or
            without) gives the encoder.

    Returns:
        The classes that it was taught before.

    Raises:
        WeightsError: nothing can be downloaded, or the file is unreadable or does not fit; the message names
            the entry and the remedy. Nothing else is taken instead.
    """
    if weights == "none":
        return set()
    if weights == "imagenet":
        content, source = encoder_weights(model.encoder_name)
    else:
        content, source = read_bytes(weights, _REMEDY), weights
    entries, metadata = read_entries(content, source, _KIND)
    entries = without_prefix(entries)
    if metadata.get("kind") == _KIND:
        return _start_from_segmenter(model, entries, metadata, source)
    _load_encoder(model, entries_for(model.encoder_name, model.encoder, entries, source), source)
    return set()


def _start_from_segmenter(
    model: Segmenter, entries: Mapping[str, Tensor], metadata: Mapping[str, Any], source: str
) -> set[int]:
    space = metadata.get("label_space", _FIRST_SPACE)
    trained = metadata.get("head", _FIRST_HEAD), metadata.get("num_classes"), space
    if trained == (model.head_name, model.num_classes, model.label_space):
        described = _describe(model.encoder_name, model.num_classes, model.head_name)
        model.load_state_dict(
            fit(entries, model.state_dict(), source, described, _remedy(model.encoder_name))
        )
        return set(range(model.num_classes)) - set(_untaught(metadata, model.num_classes, source))
    encoder = {name: entry for name, entry in entries.items() if name.startswith("encoder.")}
    _load_encoder(model, {name.removeprefix("encoder."): e for name, e in encoder.items()}, source)
    return set()


def _load_encoder(model: Segmenter, entries: Mapping[str, Tensor], source: str) -> None:
    expected, name = model.encoder.state_dict(), model.encoder_name
    described = f"a torchvision {name}" if name in TORCHVISION_RESNETS else f"an encoder {name}"
    model.encoder.load_state_dict(fit(entries, expected, source, described, _remedy(name)))


def _describe(encoder: str, num_classes: int, head: str) -> str:
    return f"a segmenter of {encoder} and {head} with {num_classes} classes"


def _remedy(encoder: str) -> str:
    return f"set segmenter.encoder to what the file was trained as, which is not {encoder}"
