"""Generators in the published form, whose architecture is read from the names and shapes in the file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import WeightsError
from segspade_core.spade.generator import SpadeGenerator, block_widths, up_blocks
from segspade_core.spade.weights import KIND, build_generator
from segspade_core.training.weights_file import read_bytes, read_entries, shape_of, without_prefix

_REMEDY = "give the path of a .pth or .safetensors file of a SPADE generator"
# input channels of the published networks → is the last one instance edges, and how many upsamplings:
# Cityscapes at 256x512 (35 labels); COCO-Stuff (183) and ADE20K (151) at 256x256
_PUBLISHED = {36: (True, 6), 184: (True, 5), 151: (False, 5)}
_SHARED = "head_0.norm_0.mlp_shared.0.weight"
_HEAD = "head_0.conv_0.weight_orig"


def load_published(
    path: str | Path,
    *,
    instance_edges: bool | None = None,
    upsamplings: int | None = None,
    linear_head: tuple[int, int] | None = None,
) -> SpadeGenerator:
    """The generator of a published checkpoint (`latest_net_G.pth`), in evaluation mode on the CPU.

    Width, label count and variant (with a style encoder, `fc` is a linear layer) are read from the shapes. A
    `module.` prefix, missing `num_batches_tracked` and float16 are taken as they come. The file is read with
    `weights_only=True`: no code in it runs.

    Args:
        path: of a `.pth` file, or of a safetensors file with the same entries.
        instance_edges: whether the last input channel is instance edges; None: as in the published network
            of this many channels, otherwise yes.
        upsamplings: None: as published, otherwise 6 with four `up` blocks.
        linear_head: height x width of the head where `fc` is linear; None: square, or twice as wide as high.

    Raises:
        WeightsError: the file cannot be read, holds anything but tensors, or does not fit; the message names
            the file, the entry, its shape and what was expected.
    """
    source = str(path)
    entries, metadata = read_entries(read_bytes(source, _REMEDY), source, KIND)
    if "architecture" in metadata:
        raise WeightsError(f"{source}: written by SegSPADE, not in the published form; use load_generator")
    entries = without_prefix(entries)
    architecture, _ = infer_architecture(entries, source, instance_edges, upsamplings, linear_head)
    return build_generator(entries, architecture, source)


def infer_architecture(
    entries: Mapping[str, Tensor],
    source: str,
    instance_edges: bool | None = None,
    upsamplings: int | None = None,
    linear_head: tuple[int, int] | None = None,
) -> tuple[GeneratorArchitecture, dict[str, Any]]:
    """The architecture that the shapes of published entries (without `module.`) tell.

    Args:
        instance_edges, upsamplings, linear_head: what shapes leave open, as in `load_published`.

    Returns:
        The architecture, and those of its settings that are assumed, as neither shapes, nor the published
        networks, nor the caller tell them.

    Raises:
        WeightsError: the entries are not those of a SPADE generator, or of one of another kind.
    """
    hidden, channels = _shape(entries, _SHARED, source)[:2]
    top = _shape(entries, _HEAD, source)[1]  # channels of the head
    width = _shape(entries, "conv_img.weight", source)[1]
    as_published = _PUBLISHED.get(channels, (None, None))
    assumed: dict[str, Any] = {}
    if instance_edges is None:
        instance_edges = assumed["instance_edges"] = as_published[0] is not False
    possible = _possible_upsamplings(entries, source)
    if upsamplings is None:
        upsamplings = as_published[1] if as_published[1] in possible else possible[-1]
        if len(possible) > 1:
            assumed["upsamplings"] = upsamplings
    elif upsamplings not in possible:
        raise WeightsError(
            f"{source}: its `up` blocks go with {' or '.join(map(str, possible))} upsamplings, not with "
            f"{upsamplings}"
            + ("; if it has that many, `up` blocks are missing from the file" * (upsamplings > possible[-1]))
        )
    if as_published[1] == upsamplings and (width, top, hidden) == (64, 1024, 128):
        assumed = {}
    style_dim = 0
    if len(_shape(entries, "fc.weight", source, (2, 4))) == 2:
        rows, style_dim = entries["fc.weight"].shape
        if linear_head is None:
            linear_head = assumed["linear_head"] = _head_size(rows, top, source)
    elif linear_head is not None:
        raise WeightsError(
            f"{source}: entry 'fc.weight' has shape {shape_of(entries['fc.weight'])}: a convolution, so this "
            "is not the variant with a style encoder; leave linear_head out"
        )
    architecture = _architecture(
        source,
        num_labels=channels - instance_edges,
        instance_edges=instance_edges,
        width=width,
        hidden=hidden,
        upsamplings=upsamplings,
        style_dim=style_dim,
        linear_head=linear_head,
    )
    return _with_top(architecture, top, entries, source), assumed


def _shape(entries: Mapping[str, Tensor], name: str, source: str, dims: tuple[int, ...] = (4,)) -> list[int]:
    """Of an entry that every SPADE generator has.

    Raises:
        WeightsError: it is missing, or has other dimensions than `dims` many.
    """
    if name not in entries:
        there = ", ".join(repr(other) for other in sorted(entries)[:3]) or "nothing"
        raise WeightsError(
            f"{source}: entry '{name}' is missing: these are not the weights of a SPADE generator (the file "
            f"holds {there}{', ...' if len(entries) > 3 else ''})"
        )
    shape = list(entries[name].shape)
    if len(shape) not in dims or not all(shape):
        kinds = {4: "a convolution, out x in x height x width", 2: "a linear layer, out x in"}
        raise WeightsError(
            f"{source}: entry '{name}' has shape {shape_of(entries[name])}; expected "
            f"{', or '.join(kinds[number] for number in sorted(dims, reverse=True))}"
        )
    return shape


def _possible_upsamplings(entries: Mapping[str, Tensor], source: str) -> list[int]:
    """Which numbers of upsamplings go with the `up` blocks: 5 and 6 with the published four."""
    blocks = {name.partition(".")[0] for name in entries}
    ups = next(index for index in itertools.count() if f"up_{index}" not in blocks)
    possible = [
        number for number in range(1, 9) if up_blocks(GeneratorArchitecture(upsamplings=number)) == ups
    ]
    if not possible:
        raise WeightsError(f"{source}: has {ups} blocks 'up_0', 'up_1', ...; at most 6 are known")
    return possible


def _head_size(rows: int, top: int, source: str) -> tuple[int, int]:
    """Height x width of the head that a linear `fc` of so many rows makes: square, or twice as wide."""
    pixels, rest = divmod(rows, top)
    for wide in (1, 2):
        height = math.isqrt(pixels // wide)
        if not rest and height * height * wide == pixels:
            return height, height * wide
    raise WeightsError(
        f"{source}: entry 'fc.weight' has {rows} rows for a head of {top} channels; expected {top} times the "
        "pixels of a head that is square, or twice as wide as high; if it is neither, give linear_head"
    )


def _with_top(
    architecture: GeneratorArchitecture, top: int, entries: Mapping[str, Tensor], source: str
) -> GeneratorArchitecture:
    """The architecture with `max_channels` such that the head has `top` channels.

    Raises:
        WeightsError: the head is wider than doubling from `width` takes it, or narrower.
    """
    widest = block_widths(architecture.model_copy(update={"max_channels": top}))[0]
    if widest != top:
        ups, width = up_blocks(architecture), architecture.width
        raise WeightsError(
            f"{source}: entry '{_HEAD}' has shape {shape_of(entries[_HEAD])}: {top} channels, where {widest} "
            f"are expected over {ups} `up` blocks that end at the {width} of entry 'conv_img.weight'"
            + (f"; `up` blocks may be missing from the file, 'up_{ups}' first of all" if widest < top else "")
        )
    # 1024 and more than it takes, as published networks have it; less is a limit that was set
    natural = block_widths(architecture.model_copy(update={"max_channels": 2 * top}))[0]
    return architecture.model_copy(update={"max_channels": max(top, 1024) if natural == top else top})


def _architecture(source: str, **settings: Any) -> GeneratorArchitecture:
    try:
        return GeneratorArchitecture(**settings)
    except ValidationError as error:
        problem = error.errors()[0]
        setting = str(problem["loc"][0]) if problem["loc"] else "architecture"
        raise WeightsError(
            f"{source}: its shapes tell {setting} {settings.get(setting)}, which no generator here has "
            f"({problem['msg']})"
        ) from error
