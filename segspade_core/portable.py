"""Trained networks as programs that need nothing of this project: torch.export and ONNX.

Each takes and gives what files hold, bytes of pixels and of label ids, so that what is around a network here
(normalisation, one-hot maps, edges of instances, the choice of a class) need not be written again elsewhere.
The batch is free; height and width are those of the export.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from segspade_core.errors import InputError
from segspade_core.labels import IGNORE_ID, NUM_TRAIN_IDS, train_ids_to_ids
from segspade_core.segmentation.label_space import bars
from segspade_core.segmentation.model import Segmenter
from segspade_core.spade.code import code_dim
from segspade_core.spade.generator import SpadeGenerator, check_size
from segspade_core.spade.semantics import instance_edges


class PortableSegmenter(nn.Module):
    """Photographs → label ids, and the logits they were chosen by."""

    names_in = ("image",)
    names_out = ("label_ids", "logits")
    bars: Tensor
    ids: Tensor

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model
        added = bars(model.num_classes, model.label_space, model.untaught)
        self.register_buffer("bars", added.view(1, -1, 1, 1))
        classes = torch.arange(model.num_classes)
        if model.label_space == "train_ids":
            classes = torch.from_numpy(train_ids_to_ids(torch.arange(NUM_TRAIN_IDS).numpy()))
        self.register_buffer("ids", classes.to(torch.uint8))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 → (B, H, W) uint8 label ids, (B, C, H, W) float32 logits."""
        logits = self.model(image.permute(0, 3, 1, 2).float() / 255)
        return self.ids[(logits + self.bars).argmax(1)], logits

    def example(self, size: tuple[int, int], batch: int = 5) -> tuple[Tensor, ...]:
        """Arguments to trace by."""
        return (torch.randint(0, 256, (batch, *size, 3), dtype=torch.uint8),)


class PortableGenerator(nn.Module):
    """Label maps, and what else the network takes, → photographs."""

    names_out = ("photograph", "image")
    channels: Tensor

    def __init__(self, generator: SpadeGenerator) -> None:
        super().__init__()
        self.generator = generator.inference_copy()
        self.architecture = generator.architecture
        self.register_buffer("channels", torch.arange(self.architecture.num_labels).view(1, -1, 1, 1))

    @property
    def names_in(self) -> tuple[str, ...]:
        """Of the arguments: maps always, instances and code where the network takes them."""
        extra = ("instance_ids",) * self.architecture.instance_edges + ("code",) * bool(
            code_dim(self.architecture)
        )
        return ("label_ids", *extra)

    def forward(self, label_ids: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
        """Paint.

        Args:
            label_ids: (B, H, W) uint8; 255 counts as 0.
            rest: instance_ids (B, H, W) int32, if the network has a channel for their edges; then code (B, Z)
                float32, if it has one.

        Returns:
            (B, H, W, 3) uint8; and (B, 3, H, W) float32 in [-1, 1], of which that is rounded.
        """
        ids = label_ids.long()
        ids = torch.where(ids == IGNORE_ID, torch.zeros_like(ids), ids)
        semantics = (ids[:, None] == self.channels).float()  # (B, S, H, W)
        if self.architecture.instance_edges:
            semantics = torch.cat([semantics, instance_edges(rest[0])[:, None].float()], dim=1)
        code = rest[-1] if code_dim(self.architecture) else None
        image = self.generator(semantics, code)
        pixels = ((image + 1) / 2 * 255).round().clamp(0, 255).to(torch.uint8)
        return pixels.permute(0, 2, 3, 1), image

    def example(self, size: tuple[int, int], batch: int = 5) -> tuple[Tensor, ...]:
        """Arguments to trace by.

        Raises:
            InputError: the network cannot paint this size.
        """
        check_size(self.architecture, *size)
        made = [torch.randint(0, self.architecture.num_labels, (batch, *size), dtype=torch.uint8)]
        if self.architecture.instance_edges:
            made.append(torch.randint(0, 3, (batch, *size), dtype=torch.int32))
        if code_dim(self.architecture):
            made.append(torch.randn(batch, code_dim(self.architecture)))
        return tuple(made)


Portable = PortableSegmenter | PortableGenerator


def code_parts(generator: SpadeGenerator) -> dict[str, Any]:
    """What a code is put together of: style_dim numbers, zeros for the mean, then a row of each condition.

    Returns:
        style_dim, and condition → name → its numbers; 'any' is the mean of all names. JSON-able.
    """
    conditions: dict[str, dict[str, list[float]]] = {}
    for condition, names in generator.code_book.names.items():
        if names:
            table: Tensor = generator.code_book.get_submodule(condition).weight  # type: ignore[assignment]
            rows = {name: row.tolist() for name, row in zip(names, table.detach(), strict=True)}
            conditions[condition] = rows | {"any": table.detach().mean(dim=0).tolist()}
    return {"style_dim": generator.architecture.style_dim, **conditions}


def exported(module: Portable, size: tuple[int, int]) -> torch.export.ExportedProgram:
    """The network as a program of torch.export, with a free batch.

    Args:
        size: (H, W) that it will take.

    Raises:
        InputError: the network cannot work at this size.
    """
    module.eval().requires_grad_(False)
    example = module.example(size)
    batch = torch.export.Dim("batch", min=1, max=1024)
    free: Any = tuple({0: batch} for _ in example)
    if isinstance(module, PortableGenerator) and len(free) > 1:
        free = (free[0], free[1:])  # as it takes them: the maps, and the rest
    return torch.export.export(module, example, dynamic_shapes=free)


def as_torch_program(module: Portable, size: tuple[int, int]) -> bytes:
    """Content of a .pt2 file; `torch.export.load` reads it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # that buffers are views of one tensor; they are on the CPU
        warnings.filterwarnings("ignore", message="No complete tensor found")
        torch.export.save(exported(module, size), buffer)
    return buffer.getvalue()


def as_onnx(module: Portable, size: tuple[int, int], about: dict[str, str]) -> bytes:
    """Content of an .onnx file, weights included.

    Args:
        about: kept as its metadata.

    Raises:
        InputError: the packages for it are not installed, or the network is too large for one file.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError("ONNX needs packages of its own: install segspade[onnx]") from error
    names: Any = {"input_names": list(module.names_in), "output_names": list(module.names_out)}
    program = torch.onnx.export(exported(module, size), dynamo=True, verbose=False, **names)
    assert program is not None
    proto = program.model_proto
    for name, value in about.items():
        proto.metadata_props.add(key=name, value=value)
    if proto.ByteSize() >= 2**31:
        raise InputError("the network is larger than the 2 GiB that one ONNX file holds; use torch's format")
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def compare_onnx(module: Portable, content: bytes, size: tuple[int, int], batch: int = 2) -> dict[str, float]:
    """How far ONNX Runtime is from torch on random input, at another batch than was traced.

    Returns:
        output → largest difference; of ids and pixels, the share that differs.

    Raises:
        InputError: onnxruntime is not installed.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError("to compare needs onnxruntime: install segspade[onnx]") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        example = module.example(size, batch)
    with torch.inference_mode():
        wanted = module(*example)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    given = {name: argument.numpy() for name, argument in zip(module.names_in, example, strict=True)}
    differences = {}
    for name, want, got in zip(module.names_out, wanted, session.run(None, given), strict=True):
        found = torch.from_numpy(got)
        exact = not want.is_floating_point()
        differences[name] = float((want != found).float().mean() if exact else (want - found).abs().max())
    return differences
