"""The exact fast path of a trained SPADE generator: the same pictures, without repeating what repeats."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from segspade_core.errors import InputError
from segspade_core.kernels import load_kernels
from segspade_core.spade.code import check_code, code_dim
from segspade_core.spade.fast.blocks import CompiledBlock, FastBlock, PlainBlock
from segspade_core.spade.fast.buffers import Buffers, Turn
from segspade_core.spade.fast.convolutions import Workshop
from segspade_core.spade.fast.tables import LevelTables, Modulation
from segspade_core.spade.generator import SpadeBlock, SpadeGenerator, blocks, check_size
from segspade_core.spade.modulation import Spade
from segspade_core.spade.patches.numbering import HashedRows, SortedRows
from segspade_core.spade.semantics import (
    check_instance_edges,
    check_label_ids,
    label_channels,
    one_hot_semantics,
)

_SLOPE = 0.2
# of tables, for every pixel painted and resolution; the rows of one photograph's map take about half of it
_KEPT_BYTES_PER_PIXEL = 384
_IN_USE = "this FastGenerator is painting for another thread; make one instance for each thread"


class FastGenerator:
    """Paints what the generator paints, several times as fast, on the CPU by compiled kernels.

    - gamma and beta are made once for every different 5x5 patch (`tables`), and kept from call to call;
    - spectral norms are folded into the weights, batch norms into the tables;
    - 3x3 convolutions of modulated pictures go by transformed tiles (`convolutions`).

    In float32 the result differs from the dense form by rounding alone: at most 5e-5. Without Numba, in
    bfloat16 and on other devices PyTorch's own operations do the same; on CUDA tests compare the two forms,
    but not their speed.

    One instance is for one thread at a time, and refuses a second; several instances may paint at once. A
    call that fails or is broken off costs what was kept, and no more.
    """

    def __init__(
        self,
        generator: SpadeGenerator,
        dtype: torch.dtype = torch.float32,
        keep_tables: bool = True,
        compiled: bool | None = None,
    ) -> None:
        """Prepare.

        Args:
            generator: trained; it is not changed, and changes made to it later are not seen.
            dtype: of the convolutions' products: float32, or bfloat16 where the processor or GPU has it. What
                is modulated and added up stays in float32, so that single pixels of the shipped generator are
                off by 0.06 at most, where all in bfloat16, or autocast of the dense form, has 0.09. It pays
                where there are matrix units (AMX, tensor cores): a Xeon with AVX512-BF16 but no AMX took
                twice as long as in float32.
            keep_tables: from call to call, up to 384 bytes for every pixel painted and resolution; a map
                that was changed a little is then painted again in little more than its convolutions take.
            compiled: whether to use Numba's kernels; None uses them where they can be, that is in float32 on
                the CPU if Numba is installed.

        Raises:
            InputError: this machine cannot compute in `dtype`.
        """
        self._device = generator.conv_img.weight.device
        check_dtype(dtype, self._device)
        kernels = None
        if compiled is not False and dtype == torch.float32 and self._device.type == "cpu":
            kernels = load_kernels("segspade_core.spade.fast")
        if compiled and kernels is None:
            raise InputError(
                "compiled kernels are for float32 on the CPU, and need Numba: leave `compiled` to None"
            )
        self._architecture, self._dtype, self._keep_tables = generator.architecture, dtype, keep_tables
        self._turn, self._buffers = Turn(), Buffers(self._device)
        self._shop = None if kernels is None else Workshop(kernels, self._buffers)
        self._levels = self._make_levels(generator)
        self._network = _ends(generator)

    def __call__(
        self, label_ids: Tensor, instance_edges: Tensor | None = None, code: Tensor | None = None
    ) -> Tensor:
        """Paint.

        Args:
            label_ids: (B, H, W) integers 0..num_labels - 1, or 255, which counts as 0.
            instance_edges: (B, H, W) bool; None means no edges.
            code: (B, Z) float32 of the generator's `code_book`; None paints in the mean style, under no
                condition.

        Returns:
            (B, 3, H, W) float32 in [-1, 1].

        Raises:
            InputError: the network cannot paint H x W, knows no such id, or takes no edges or no such code;
                an argument is of another shape or dtype; or another thread is in a call of this instance.
        """
        with self._turn.taken(_IN_USE), torch.inference_mode():
            checked = self._checked(label_ids, instance_edges, code)
            try:
                images = self._paint(*checked)
            except BaseException:
                # patches may be numbered whose rows were never made
                for level in self._levels:
                    level.tables.forget()
                raise
        return images.clone()  # one that gradients may flow through again

    @property
    def kept_bytes(self) -> int:
        """What the tables take that are kept for the next call."""
        return sum(level.tables.kept_bytes for level in self._levels)

    def _checked(
        self, label_ids: Tensor, instance_edges: Tensor | None, code: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The arguments on the network's device, with edges and a code just if the network takes them."""
        architecture = self._architecture
        check_label_ids(label_ids, architecture.num_labels)
        batch, height, width = label_ids.shape
        check_size(architecture, height, width)
        if instance_edges is not None and not architecture.instance_edges:
            raise InputError("this generator has no channel for instance edges: leave them out")
        if instance_edges is not None:
            check_instance_edges(instance_edges, label_ids)
        if code is not None:
            check_code(architecture, code, batch, self._network.conv_img.weight.dtype)
        elif code_dim(architecture):
            code = self._network.code_book(None, {}, batch)
        label_ids = label_ids.to(self._device)
        if architecture.instance_edges and instance_edges is None:
            instance_edges = torch.zeros_like(label_ids, dtype=torch.bool)
        edges = None if instance_edges is None else instance_edges.to(self._device)
        return label_ids, edges, None if code is None else code.to(self._device)

    def _paint(self, label_ids: Tensor, edges: Tensor | None, code: Tensor | None) -> Tensor:
        """(B, H, W) label ids and edges, (B, Z) code → (B, 3, H, W)."""
        labels, factor = self._architecture.num_labels, self._levels[0].factor
        small_edges = None if edges is None else edges[:, ::factor, ::factor]
        semantics = one_hot_semantics(label_ids[:, ::factor, ::factor], small_edges, labels)
        x = self._network.start(semantics, code)  # (B, C, H / factor, W / factor)
        if self._architecture.linear_head is not None:
            code = None  # it has had its say
        codes = label_channels(label_ids).short()
        if edges is not None:
            codes += labels * edges
        budget = _KEPT_BYTES_PER_PIXEL * codes.numel() if self._keep_tables else 0
        for level in self._levels:
            # top-left, as the dense form takes the semantics to each size
            at_size = codes[:, :: level.factor, :: level.factor].contiguous()
            numbers = level.tables.number(at_size, budget)
            for doubles, block in level.blocks:
                x = block(x, doubles, numbers, level.tables, code)  # (B, C, H / factor, W / factor)
            level.tables.done()
        return torch.tanh(self._network.conv_img(F.leaky_relu_(x, _SLOPE))).contiguous()

    def _make_levels(self, generator: SpadeGenerator) -> list[_Level]:
        """The blocks of each resolution."""
        levels: list[_Level] = []
        count, head = itertools.count(), 2**self._architecture.upsamplings
        named = blocks(self._architecture)
        doublings = itertools.accumulate(int(doubles) for _, doubles in named)
        for doubled, group in itertools.groupby(zip(doublings, named, strict=True), key=lambda pair: pair[0]):
            factor = head >> doubled
            # only the head's sides may be odd; and below 16x32, as published, reading weights is what costs
            small = factor == head or factor >= 32
            modulations: dict[str, Modulation] = {}
            made: list[tuple[bool, FastBlock]] = []
            for _, (name, doubles) in group:
                block = generator.get_submodule(name)
                assert isinstance(block, SpadeBlock)
                for norm, spade in block.named_children():
                    if isinstance(spade, Spade):
                        modulations[f"{name}.{norm}"] = Modulation(spade, self._architecture.num_labels)
                if self._shop is None:
                    made.append((doubles, PlainBlock(name, block, self._dtype)))
                else:
                    made.append((doubles, CompiledBlock(name, next(count), block, self._shop, small)))
            levels.append(_Level(factor, made, self._tables(modulations)))
        return levels

    def _tables(self, modulations: dict[str, Modulation]) -> LevelTables:
        if self._shop is not None:
            return LevelTables(modulations, HashedRows, self._buffers)
        bound, device = 1 + next(iter(modulations.values())).outside, self._device
        return LevelTables(modulations, lambda width: SortedRows(width, bound, device), self._buffers)


@dataclass(frozen=True)
class _Level:
    """What paints at 1 / `factor` of the size: whether to double in front of each block, and the block."""

    factor: int
    blocks: list[tuple[bool, FastBlock]]
    tables: LevelTables


def _ends(generator: SpadeGenerator) -> SpadeGenerator:
    """A copy without its blocks: what is in front of the first and behind the last."""
    ends = copy.copy(generator)
    kept = ("fc", "code_book", "conv_img")
    ends._modules = {name: copy.deepcopy(generator.get_submodule(name)) for name in kept}
    return ends.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def check_dtype(dtype: torch.dtype, device: torch.device) -> None:
    """Raise InputError unless this machine computes in `dtype`, rather than imitating it."""
    if dtype == torch.float32:
        return
    if dtype != torch.bfloat16:
        raise InputError(f"{dtype}: the fast generator paints in float32 or bfloat16")
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
        able = any(has for name, has in capabilities.items() if "bf16" in name)
    if not able:
        raise InputError(f"this machine's {device.type} has no bfloat16: paint in float32")
