"""Files of weights: read without running what is in them, and checked entry by entry."""

from __future__ import annotations

import io
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segspade_core.errors import InputError, WeightsError
from segspade_core.training.checkpoint import unpack_weights

_COUNTER = "num_batches_tracked"
_VARIANCE = "running_var"


def read_bytes(path: str, remedy: str) -> bytes:
    """The file's bytes.

    Raises:
        WeightsError: it cannot be read; the message ends with `remedy`.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error


def read_entries(content: bytes, source: str, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State-dict entries and metadata of a `.pth` or safetensors file, on the CPU.

    What is no zip and no pickle is taken for safetensors. A pickle is read with `weights_only=True`, so no
    code in it runs; its metadata is empty.

    Args:
        kind: of network, such as 'generator'; files of ours that say another are refused.

    Raises:
        WeightsError: the file is neither, or holds something else than tensors; the message names `source`.
    """
    if not content:
        raise WeightsError(f"{source}: is empty; the copy or download was cut off, so fetch it again")
    if content[:512].lstrip().lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        raise WeightsError(
            f"{source}: is a web page and no weights, as a download that was refused leaves it; open it in a "
            "browser to see what the server said"
        )
    if content[:2] == b"PK" or _is_pickle(content):
        return _read_pickle(content, source, kind), {}
    if not _is_safetensors(content):
        raise WeightsError(
            f"{source}: neither a PyTorch checkpoint nor a safetensors file; give the file to which "
            f"`{kind}.state_dict()` was saved, by torch.save or by safetensors"
        )
    return read_safetensors(content, source, kind)


def _is_pickle(content: bytes) -> bool:
    """Of protocol 2 and later. A safetensors file begins with the length of its header, in 8 bytes."""
    return (
        content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and any(content[3:8])
    )


def _is_safetensors(content: bytes) -> bool:
    """By its beginning: the length of the header in 8 bytes, and the header's brace, as far as it goes."""
    if len(content) <= 8:
        return 0 in content and not any(content[3:])
    return content[8:9] == b"{"


def read_safetensors(content: bytes, source: str, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Entries and metadata of a safetensors file.

    Raises:
        WeightsError: it is none, or the weights of another kind of network.
    """
    try:
        entries, metadata = unpack_weights(content, source)
    except InputError as error:
        if not _is_safetensors(content):
            raise WeightsError(
                f"{source}: not a safetensors file; give the .safetensors file of a {kind}"
            ) from error
        raise WeightsError(
            f"{source}: cannot be read as a safetensors file: it is cut off or damaged, so copy it again"
        ) from error
    if metadata.get("kind", kind) != kind:
        raise WeightsError(f"{source}: weights of a {metadata['kind']}, not of a {kind}")
    return entries, metadata


def _read_pickle(content: bytes, source: str, kind: str) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            # of newer pickle protocols, of sparse tensors: what is of no use is refused below
            warnings.simplefilter("ignore")
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # from None, here and below: torch's own words advise to run what is in the file
        raise WeightsError(f"{source}: {_not_run(_forbidden(error), kind)}") from None
    # any other: bytes that are cut off or altered can fail at any step of reading them
    except Exception as error:
        if "TorchScript" in str(error):
            raise WeightsError(f"{source}: {_not_run('a program of TorchScript', kind)}") from None
        raise WeightsError(
            f"{source}: cannot be read as a checkpoint: it is cut off or damaged, so copy it again"
        ) from error
    if not isinstance(loaded, Mapping):
        raise WeightsError(
            f"{source}: holds no state dict of tensors, but a {type(loaded).__name__}; save "
            f"`{kind}.state_dict()` alone"
        )
    for name, entry in loaded.items():
        _check_entry(name, entry, source, kind)
    return dict(loaded)


def _check_entry(name: object, entry: object, source: str, kind: str) -> None:
    # names as repr has them: a stranger's may hold codes that a terminal obeys
    if isinstance(entry, Mapping):
        raise WeightsError(
            f"{source}: holds no state dict of tensors: under {str(name)!r} is a dictionary of {len(entry)} "
            f"entries. If that is the {kind}'s state dict, save it alone"
        )
    if not isinstance(name, str) or not isinstance(entry, Tensor):
        raise WeightsError(
            f"{source}: holds no state dict of tensors: {str(name)!r} is of type {type(entry).__name__}; "
            f"save `{kind}.state_dict()` alone"
        )
    if entry.layout != torch.strided or entry.is_quantized or entry.device.type != "cpu":
        raise WeightsError(
            f"{source}: entry {name!r} is no plain tensor of numbers ({entry.layout}, {entry.dtype}, on "
            f"{entry.device}); save it dense, as floats"
        )


def _forbidden(error: Exception) -> str | None:
    """What a pickle holds beside tensors, if torch tells it."""
    # letters, digits and dots alone: the name is of the file's own choosing
    name = re.search(r"GLOBAL ([\w.]{1,200})(?=\s)", str(error))
    return f"'{name[1]}'" if name else None


def _not_run(what: str | None, kind: str) -> str:
    remedy = f"nothing in it was run; save `{kind}.state_dict()` alone"
    if what is None:
        return (
            "not a plain checkpoint of tensors: it holds something else, or is damaged; "
            f"{remedy}, or copy it again"
        )
    return f"not a plain checkpoint of tensors: it holds {what}; {remedy}"


def without_prefix(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries without the `module.` that data-parallel training leaves before every name."""
    if entries and all(name.startswith("module.") for name in entries):
        return {name.removeprefix("module."): tensor for name, tensor in entries.items()}
    return dict(entries)


def fit(
    entries: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str, network: str, remedy: str
) -> dict[str, Tensor]:
    """The entries a network expects, in its types; counters that old versions never wrote become 0.

    Args:
        expected: the network's own state dict; only shapes and types are looked at.
        network: what it is, such as 'a resnet18 encoder', for messages.
        remedy: what to do about an entry of another shape.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not finite; or a variance is below 0.
    """
    fitting: dict[str, Tensor] = {}
    for name, wanted in expected.items():
        if name.endswith(_COUNTER) and name not in entries:
            fitting[name] = torch.zeros((), dtype=wanted.dtype)
            continue
        if name not in entries:
            raise WeightsError(
                f"{source}: entry '{name}' of shape {shape_of(wanted)} is missing; is this {network}?"
            )
        entry = entries[name].detach()
        if entry.shape != wanted.shape:
            raise WeightsError(
                f"{source}: entry '{name}' has shape {shape_of(entry)}, the network wants "
                f"{shape_of(wanted)}; {remedy}"
            )
        if entry.is_floating_point() != wanted.is_floating_point():
            raise WeightsError(
                f"{source}: entry '{name}' holds numbers of type {entry.dtype}, the network wants "
                f"{wanted.dtype}; save it so"
            )
        if not torch.isfinite(entry).all():
            raise WeightsError(
                f"{source}: entry '{name}' holds NaN or infinite values; use an earlier checkpoint"
            )
        if name.endswith(_VARIANCE) and (entry < 0).any():
            raise WeightsError(
                f"{source}: entry '{name}' holds a variance below 0, {float(entry.min()):g}, of which there "
                "is no root; use an earlier checkpoint"
            )
        fitting[name] = entry.to(wanted.dtype)
    unknown = sorted(set(entries) - set(expected))
    if unknown:
        raise WeightsError(
            f"{source}: entry {unknown[0]!r} of shape {shape_of(entries[unknown[0]])} has no place in "
            f"{network} ({len(unknown)} such entries)"
        )
    return fitting


def shape_of(tensor: Tensor) -> str:
    """Such as '64x3x7x7'; 'scalar' for no dimensions."""
    return "x".join(str(side) for side in tensor.shape) or "scalar"
