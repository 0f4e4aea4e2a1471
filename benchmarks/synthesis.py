"""The fast generator beside the dense one as published, run eagerly: 256x512, full width, float32, batch 1.

Prints CPU and wall time of every step on the way from one to the other (each step keeps those before it), of
maps painted again and maps changed a little, the limit that the main convolutions alone set, and peak memory.
All take turns map by map in one process; the ratios are medians over maps. Weights are random: the time does
not depend on them. With no folder the maps are Minicity's.

    python benchmarks/synthesis.py [--labels DIR --instances DIR] [--rounds 3] [--threads 1] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import GeneratorArchitecture, MinicityConfig
from segspade_core.datasets.minicity import draw_frame
from segspade_core.errors import InputError
from segspade_core.spade.fast import FastGenerator
from segspade_core.spade.fast import generator as fast_generator
from segspade_core.spade.fast.tables import Modulation
from segspade_core.spade.generator import SpadeBlock, SpadeGenerator, blocks
from segspade_core.spade.modulation import Spade
from segspade_core.spade.patches.numbering import SortedRows
from segspade_core.spade.semantics import instance_edges, one_hot_semantics
from segspade_core.spade.spectral import SpectralConv2d

HEIGHT, WIDTH = 256, 512
Maps = list[tuple[Tensor, Tensor]]  # (1, H, W) label ids and edges
Paint = Callable[[Tensor, Tensor], Tensor]
# memory that is freed stays with the process: a quarter of the eager time is page faults
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_TOP_PAD_": str(2**26)}


def real_maps(labels: Path, instances: Path, count: int) -> Maps:
    """Label and instance PNGs of two folders, paired by their order."""
    maps = []
    files = {folder: sorted(folder.glob("*.png")) for folder in (labels, instances)}
    for folder, found in files.items():
        if not found:
            raise InputError(f"{folder}: no such folder, or no PNG in it")
    if len(files[labels]) != len(files[instances]):
        raise InputError(
            f"{labels} holds {len(files[labels])} PNGs and {instances} {len(files[instances])}: give as many "
            "instance maps as label maps, in the same order"
        )
    for pair in list(zip(files[labels], files[instances], strict=True))[:count]:
        small = [np.array(Image.open(f).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)) for f in pair]
        ids, instance_ids = (torch.from_numpy(array.astype(np.int32))[None] for array in small)
        maps.append((ids.to(torch.uint8), instance_edges(instance_ids)))
    return maps


def drawn_maps(count: int) -> Maps:
    """Maps of Minicity."""
    config, maps = MinicityConfig(train=count, val=0, size=(HEIGHT, WIDTH)), []
    for index in range(count):
        sample = draw_frame(config, "train", index).sample
        assert sample.instance_ids is not None
        instance_ids = torch.from_numpy(sample.instance_ids.astype(np.int32))[None]
        maps.append((torch.from_numpy(sample.label_ids)[None], instance_edges(instance_ids)))
    return maps


def asked_maps(labels: Path | None, instances: Path | None, rounds: int) -> Maps:
    """What the command line asks for.

    Raises:
        InputError: that is no map.
    """
    if rounds < 1:
        raise InputError(f"--rounds {rounds}: paint one map or more")
    if (labels is None) != (instances is None):
        raise InputError("--labels and --instances go together: give both folders, or neither")
    if labels is None or instances is None:
        return drawn_maps(rounds)
    return real_maps(labels, instances, rounds)


def generator_like_a_trained_one() -> SpadeGenerator:
    """The published shape with random weights, true spectral norms, and statistics that matter."""
    generator = SpadeGenerator(GeneratorArchitecture()).eval().requires_grad_(False)
    for module in generator.modules():
        if isinstance(module, SpectralConv2d):
            module.power_iteration(5)
        elif isinstance(module, Spade):
            module.param_free_norm.running_mean.normal_(std=0.3)
            module.param_free_norm.running_var.uniform_(0.3, 1.5)
    return generator


def published_spade(spade: Spade, x: Tensor, semantics: Tensor) -> Tensor:
    """Three convolutions, as the published code has them."""
    near = F.interpolate(semantics, size=x.shape[-2:], mode="nearest")
    shared = spade.mlp_shared(near)
    return spade.param_free_norm(x) * (1 + spade.mlp_gamma(shared)) + spade.mlp_beta(shared)


class FusedSpade:
    """gamma and beta by one convolution, with the batch norm folded in."""

    def __init__(self) -> None:
        self.weights: dict[Spade, tuple[Tensor, Tensor]] = {}

    def __call__(self, spade: Spade, x: Tensor, semantics: Tensor) -> Tensor:
        if spade not in self.weights:
            folded = Modulation(spade, 35)
            weight = folded.taps.permute(2, 1, 0).unflatten(2, (3, 3))
            self.weights[spade] = weight.contiguous(memory_format=torch.channels_last), folded.bias
        weight, bias = self.weights[spade]
        near = F.interpolate(semantics, size=x.shape[-2:], mode="nearest")
        scale, shift = F.conv2d(spade.mlp_shared(near), weight, bias, padding=1).chunk(2, dim=1)
        return torch.addcmul(shift, x, scale)


def dense(network: SpadeGenerator, layer: Callable[..., Tensor], layout: torch.memory_format) -> Paint:
    """The published forward with `layer` for its SPADE layers."""

    def block(block: SpadeBlock, x: Tensor, semantics: Tensor) -> Tensor:
        shortcut = block.conv_s(layer(block.norm_s, x, semantics)) if block.learned_shortcut else x
        x = block.conv_0(F.leaky_relu(layer(block.norm_0, x, semantics), 0.2))
        return shortcut + block.conv_1(F.leaky_relu(layer(block.norm_1, x, semantics), 0.2))

    def paint(label_ids: Tensor, edges: Tensor) -> Tensor:
        semantics = one_hot_semantics(label_ids, edges, 35).contiguous(memory_format=layout)
        x = network.fc(F.interpolate(semantics, scale_factor=1 / 64, mode="nearest"))
        for name, doubles in blocks(network.architecture):
            if doubles:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(network.get_submodule(name), x, semantics)  # type: ignore[arg-type]
        return torch.tanh(network.conv_img(F.leaky_relu(x, 0.2)))

    return paint


class UniformRows(SortedRows):
    """Patches of one code alone get a row for each code, every other pixel a row of its own."""

    def number(self, rows: Tensor) -> Tensor:
        """As `SortedRows.number`, within one call."""
        if rows.shape[1] != 25:
            return super().number(rows)
        uniform = (rows == rows[:, :1]).all(dim=1)
        codes, inverse = torch.unique(rows[uniform, 0], return_inverse=True)
        numbers = torch.empty(len(rows), dtype=torch.int32)
        numbers[uniform] = inverse.int()
        numbers[~uniform] = torch.arange(len(codes), len(codes) + int((~uniform).sum()), dtype=torch.int32)
        self._known = torch.cat([codes[:, None].expand(-1, 25), rows[~uniform]])
        return numbers


def by_patches(generator: SpadeGenerator, uniform: bool) -> Paint:
    """Rows of tables with no products shared between patches."""
    with mock.patch.object(fast_generator, "SortedRows", UniformRows if uniform else SortedRows):
        painter = FastGenerator(generator, keep_tables=False, compiled=False)

    def fill(self: Modulation, out: Tensor, fives: Tensor, hidden: Tensor, _: object) -> None:
        self._fill_by_patches(out, fives, hidden)

    def paint(label_ids: Tensor, edges: Tensor) -> Tensor:
        rows = UniformRows if uniform else SortedRows
        with (
            mock.patch.object(Modulation, "fill", fill),
            mock.patch.object(fast_generator, "SortedRows", rows),
        ):
            return painter(label_ids, edges)

    return paint


def flat_copy(generator: SpadeGenerator) -> SpadeGenerator:
    """Folded, and laid out as published."""
    return generator.inference_copy().to(memory_format=torch.contiguous_format)


def main_convolutions(network: SpadeGenerator) -> Paint:
    """All convolutions but those of SPADE, on noise: what no way of modulating can do without."""
    sizes: dict[nn.Module, Tensor] = {}

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes[module] = torch.rand_like(inputs[0])

    convolutions = [network.fc, network.conv_img]
    for name, _ in blocks(network.architecture):
        block = network.get_submodule(name)
        convolutions += [conv for conv in block.children() if isinstance(conv, nn.Conv2d)]
    hooks = [conv.register_forward_pre_hook(record) for conv in convolutions]
    label_ids = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.uint8)
    network(one_hot_semantics(label_ids, label_ids.bool(), 35))
    for hook in hooks:
        hook.remove()

    def paint(_label_ids: Tensor, _edges: Tensor) -> Tensor:
        for conv in convolutions:
            out = conv(sizes[conv])
        return torch.as_tensor(out)

    return paint


def edited(label_ids: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """A rectangle of 24x40 pixels gets another label, with edges around it."""
    top, left = int(torch.randint(HEIGHT - 24, ())), int(torch.randint(WIDTH - 40, ()))
    label_ids, edges = label_ids.clone(), edges.clone()
    here = (0, slice(top, top + 24), slice(left, left + 40))
    label_ids[here] = int(torch.randint(4, 34, ()))
    border = torch.ones(24, 40, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    edges[here] = border
    return label_ids, edges


def ways(generator: SpadeGenerator, only: list[str]) -> dict[str, Paint]:
    """Name → how to paint, in order; what comes first is what all others are compared with."""
    torch.manual_seed(1)
    flat, last = torch.contiguous_format, torch.channels_last
    folded = generator.inference_copy()
    kept = FastGenerator(generator)
    makers: dict[str, Callable[[], Paint]] = {
        "published, eager": lambda: dense(generator.to(memory_format=flat), published_spade, flat),
        "spectral norm folded": lambda: dense(flat_copy(generator), published_spade, flat),
        "channels_last": lambda: dense(folded, published_spade, last),
        "fused gamma and beta": lambda: dense(folded, FusedSpade(), last),
        "lookup of uniform patches": lambda: by_patches(generator, uniform=True),
        "unique 5x5 patches": lambda: by_patches(generator, uniform=False),
        "products of unique 3x3": lambda: FastGenerator(generator, keep_tables=False, compiled=False),
        "compiled kernels": lambda: FastGenerator(generator, keep_tables=False),
        "bfloat16": lambda: FastGenerator(generator, torch.bfloat16, keep_tables=False),
        "next map, tables kept": lambda: kept,
        "the same map again": lambda: kept,
        "a rectangle changed": lambda: lambda label_ids, edges: kept(*edited(label_ids, edges)),
        "main convolutions alone": lambda: main_convolutions(folded),
    }  # fmt: skip
    made: dict[str, Paint] = {}
    for name, maker in makers.items():
        if not only or name in only or not made:
            try:
                made[name] = maker()
            except InputError as error:
                print(f"{name}: {error}")
    return made


def compile_kernels() -> None:
    """Where nothing is cached yet, the first picture of all would pay for it."""
    tiny = GeneratorArchitecture(width=1, hidden=1, upsamplings=2)
    FastGenerator(SpadeGenerator(tiny))(torch.zeros(1, 16, 16, dtype=torch.uint8))


def compare(made: dict[str, Paint], maps: Maps) -> None:
    """Paint every map in every way, and print."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    differences: dict[str, float] = {}
    for round_, (label_ids, edges) in enumerate(maps):
        for name, paint in made.items():
            started = time.process_time(), time.perf_counter()
            image = paint(label_ids, edges)
            spent[name].append((time.process_time() - started[0], time.perf_counter() - started[1]))
            if name == next(iter(made)):
                expected = image
            elif image.shape == expected.shape and "changed" not in name:
                difference = float((image - expected).abs().max())
                differences[name] = max(differences.get(name, 0), difference)
        print(f"map {round_ + 1} of {len(maps)}", end="\r", file=sys.stderr, flush=True)
    first = spent[next(iter(made))]
    print(f"{'':26}  CPU s  wall s   CPU x  wall x  largest difference")
    for name, times in spent.items():
        cpu, wall = (median(time[kind] for time in times) for kind in (0, 1))
        ratios = [median(a[kind] / b[kind] for a, b in zip(first, times, strict=True)) for kind in (0, 1)]
        difference = f"{differences[name]:.1e}" if name in differences else ""
        print(f"{name:26} {cpu:6.2f}  {wall:6.2f}  {ratios[0]:6.2f}  {ratios[1]:6.2f}  {difference}")


def peak_mib(way: str) -> int:
    """Paint two maps in a process of its own; its peak resident memory."""
    command = [sys.executable, __file__, "--peak-of", way]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def paint_and_print_peak(way: str) -> None:
    """What `peak_mib` runs; the generator is dropped, since each way has weights of its own."""
    paint: Paint
    if way == "dense":
        paint = dense(generator_like_a_trained_one(), published_spade, torch.contiguous_format)
    else:
        paint = FastGenerator(generator_like_a_trained_one(), compiled=way == "fast")
    for label_ids, edges in drawn_maps(2):
        paint(label_ids, edges)
    # not ru_maxrss: that starts from what the process had that began this one
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=Path, help="folder of label id PNGs; none draws Minicity")
    parser.add_argument("--instances", type=Path, help="folder of the instance id PNGs to go with them")
    parser.add_argument("--rounds", type=int, default=1, help="maps")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="names of ways to paint, besides the first")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    if arguments.peak_of:
        paint_and_print_peak(arguments.peak_of)
        return
    try:
        maps = asked_maps(arguments.labels, arguments.instances, arguments.rounds)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    generator = generator_like_a_trained_one()
    tuned = os.environ.get("MALLOC_MMAP_MAX_") == "0"
    print(f"{len(maps)} maps, {arguments.threads} threads, {'tuned' if tuned else 'stock'} allocator")
    made = ways(generator, arguments.only)
    compile_kernels()
    compare(made, maps)
    if tuned:
        return
    only = ["compiled kernels", "next map, tables kept", "the same map again", "main convolutions alone"]
    subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--only", *only], env={**os.environ, **TUNED}, check=True
    )
    for way in ("dense", "pytorch", "fast") if sys.platform == "linux" else ():
        print(f"peak memory of the process, {way:8} {peak_mib(way):5} MiB")


if __name__ == "__main__":
    main()
