"""Training state ↔ bytes.

One safetensors file holds the tensors under their paths; its metadata holds the rest as JSON. Safetensors
has no code in it, so a checkpoint from a stranger cannot run anything, and equal states give equal bytes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from segspade_core.errors import InputError

# one key for all metadata: safetensors writes several keys in an order that changes from process to process
_KEY = "segspade"

CHECKPOINT = "last"  # the name under which every loop keeps its state


class CheckpointStore(Protocol):
    """Where a training loop leaves its state; the store behind it makes each save atomic and durable."""

    def load(self, name: str) -> bytes | None:
        """The bytes saved last under `name`, or None."""

    def save(self, name: str, content: bytes) -> None:
        """Replace what is kept under `name`; either the old or the new bytes survive a crash."""


class MemoryCheckpoints:
    """A CheckpointStore that forgets: for tests and for trying things out."""

    def __init__(self) -> None:
        self.saved: dict[str, bytes] = {}

    def load(self, name: str) -> bytes | None:
        return self.saved.get(name)

    def save(self, name: str, content: bytes) -> None:
        self.saved[name] = content


def pack_state(state: dict[str, Any], metadata: dict[str, Any] | None = None) -> bytes:
    """Turn nested dicts, lists, numbers, strings and tensors into one safetensors file.

    Args:
        state: what to keep. Dict keys are strings or integers (optimisers number their parameters).
            Tensors may live on any device and come back on the CPU. Floats come back bit for bit.
        metadata: JSON kept beside the state, readable without loading it.

    Raises:
        TypeError: something in `state` is neither of these.
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = _flatten(state, "", tensors)
    return _save(tensors, {"metadata": metadata or {}, "tree": tree})


def unpack_state(content: bytes, source: str = "checkpoint") -> dict[str, Any]:
    """The state that `pack_state` packed; tensors on the CPU.

    Raises:
        InputError: the bytes are no such file; the message names `source`.
    """
    try:
        tensors = load_tensors(content)
        tree = json.loads(_header_metadata(content)[_KEY])["tree"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{source}: not a SegSPADE checkpoint ({error})") from error
    state = _unflatten(tree, tensors)
    assert isinstance(state, dict)
    return state


@contextmanager
def restoring(source: str, what: str) -> Iterator[None]:
    """Tell an unpacked state that does not fit as InputError: `source` is no checkpoint of `what`."""
    try:
        yield
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{source}: not a checkpoint of {what} ({str(error).splitlines()[0]}); remove it to start over"
        ) from error


def halved(tensor: torch.Tensor) -> torch.Tensor:
    """Weights of convolutions and linear layers as float16, in half the space; all else as it is.

    Batch statistics, biases and such are few, and some of them large. `fit` makes float32 of all again.
    """
    return tensor.half() if tensor.ndim in (2, 4) and tensor.is_floating_point() else tensor


def pack_weights(weights: dict[str, torch.Tensor], metadata: dict[str, Any]) -> bytes:
    """A plain safetensors file of a model's state dict; `metadata` (JSON) says what model it fits."""
    return _save(weights, {"metadata": metadata})


def unpack_weights(content: bytes, source: str = "weights") -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """State dict (on the CPU) and metadata of a safetensors file; the files of others have empty metadata.

    Raises:
        InputError: the bytes are no safetensors file; the message names `source`.
    """
    try:
        return load_tensors(content), read_metadata(content)
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{source}: not a safetensors file ({error})") from error


def read_metadata(content: bytes) -> dict[str, Any]:
    """The metadata that `pack_state` or `pack_weights` was given, without loading a tensor; else empty.

    Raises:
        ValueError: the header is damaged.
    """
    kept = _header_metadata(content).get(_KEY)
    return {} if kept is None else dict(json.loads(kept)["metadata"])


def _save(tensors: dict[str, torch.Tensor], content: dict[str, Any]) -> bytes:
    apart: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        # two names of one storage (tied weights, an EMA just made) are refused by safetensors; copies of all
        # weights would be felt
        storage = plain.untyped_storage().data_ptr()
        apart[name] = plain.clone() if storage in storages else plain
        storages.add(storage)
    return save_tensors(apart, metadata={_KEY: json.dumps(content, sort_keys=True)})


def _header_metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 + length:
        raise ValueError("the file is shorter than its header says")
    return dict(json.loads(content[8 : 8 + length]).get("__metadata__", {}))


def rng_states() -> dict[str, Any]:
    """The state of every random generator a training step may draw from."""
    state: Any = np.random.get_state()  # noqa: NPY002 (libraries draw from the global one)
    kind, keys, position, has_gauss, cached = state
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "python": _listed(random.getstate()),
    }
    if torch.cuda.is_available():
        states["cuda"] = list(torch.cuda.get_rng_state_all())
    return states


def restore_rng_states(states: dict[str, Any]) -> None:
    """Set every random generator to where `rng_states` found it."""
    torch.set_rng_state(states["torch"])
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal), gauss_next))
    if "cuda" in states and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _flatten(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    """A JSON tree in which tensors are replaced by their names; containers carry a tag to come back alike."""
    if isinstance(value, torch.Tensor):
        tensors[path] = value
        return {"tensor": path}
    if isinstance(value, dict):
        items = []
        for key, item in value.items():
            if not isinstance(key, (str, int)) or isinstance(key, bool):
                raise TypeError(f"{path or 'state'}: a key of type {type(key).__name__} cannot be packed")
            items.append([key, _flatten(item, f"{path}/{key}" if path else str(key), tensors)])
        return {"dict": items}
    if isinstance(value, (list, tuple)):
        items = [_flatten(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    raise TypeError(f"{path}: a {type(value).__name__} cannot be packed into a checkpoint")


def _unflatten(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    ((tag, content),) = tree.items()
    if tag == "tensor":
        return tensors[content]
    if tag == "dict":
        return {key: _unflatten(item, tensors) for key, item in content}
    if tag in ("list", "tuple"):
        items = [_unflatten(item, tensors) for item in content]
        return tuple(items) if tag == "tuple" else items
    return content
