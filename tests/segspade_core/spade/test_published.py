"""Files in the published form: a table of their entries and a definition of their forward pass, both written
out here from what is known of them, and nothing of ours."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import WeightsError
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.published import load_published
from segspade_core.spade.semantics import instance_edges, one_hot_semantics
from segspade_core.spade.weights import load_generator, pack_generator
from segspade_core.training.weights_file import read_entries

# block → channels in and out, in multiples of the width; the last four change it, and have a shortcut
BLOCKS = {
    "head_0": (16, 16),
    "G_middle_0": (16, 16),
    "G_middle_1": (16, 16),
    "up_0": (16, 8),
    "up_1": (8, 4),
    "up_2": (4, 2),
    "up_3": (2, 1),
}
LAST_OF_MOST = {"up_4": (1, 0.5)}
# in front of which blocks the picture is doubled: 'most', 'more' and 'normal' of the published code
MOST = ("G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4")
MORE = ("G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")
NORMAL = ("G_middle_0", "up_0", "up_1", "up_2", "up_3")
Shapes = dict[str, tuple[int, ...]]


def published_shapes(channels: int = 36, width: int = 64, hidden: int = 128, most: bool = False) -> Shapes:
    """Name → shape of every entry, with `fc` a convolution; `most`: the variant with one more block."""
    shapes: Shapes = {"fc.weight": (16 * width, channels, 3, 3), "fc.bias": (16 * width,)}
    shapes |= {"conv_img.weight": (3, width // 2 if most else width, 3, 3), "conv_img.bias": (3,)}
    for block, (times_in, times_out) in (BLOCKS | LAST_OF_MOST if most else BLOCKS).items():
        wide, narrow = int(times_in * width), int(times_out * width)
        middle = min(wide, narrow)
        convs = {"conv_0": (middle, wide, 3), "conv_1": (narrow, middle, 3)}
        norms = {"norm_0": wide, "norm_1": middle}
        if wide != narrow:
            convs["conv_s"] = (narrow, wide, 1)
            norms["norm_s"] = wide
        for conv, (out, into, kernel) in convs.items():
            shapes[f"{block}.{conv}.weight_orig"] = (out, into, kernel, kernel)
            shapes[f"{block}.{conv}.weight_u"] = (out,)
            shapes[f"{block}.{conv}.weight_v"] = (into * kernel * kernel,)
            if conv != "conv_s":
                shapes[f"{block}.{conv}.bias"] = (out,)
        for norm, size in norms.items():
            stem = f"{block}.{norm}"
            shapes[f"{stem}.param_free_norm.running_mean"] = (size,)
            shapes[f"{stem}.param_free_norm.running_var"] = (size,)
            shapes[f"{stem}.param_free_norm.num_batches_tracked"] = ()
            shapes |= {
                f"{stem}.mlp_shared.0.weight": (hidden, channels, 3, 3),
                f"{stem}.mlp_shared.0.bias": (hidden,),
            }
            for name in ("mlp_gamma", "mlp_beta"):
                shapes |= {f"{stem}.{name}.weight": (size, hidden, 3, 3), f"{stem}.{name}.bias": (size,)}
    return shapes


def filled(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Random numbers of a sane size; u and v as after half a power iteration, not singular yet."""
    random = torch.Generator().manual_seed(seed)
    entries: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            entries[name] = torch.tensor(1000)
        elif name.endswith("running_var"):
            entries[name] = torch.rand(shape, generator=random) + 0.5
        else:
            entries[name] = torch.randn(shape, generator=random) * 0.3
    for name in [name for name in shapes if name.endswith("weight_orig")]:
        u = F.normalize(entries[f"{name.removesuffix('orig')}u"], dim=0)
        entries[f"{name.removesuffix('orig')}u"] = u
        entries[f"{name.removesuffix('orig')}v"] = F.normalize(entries[name].flatten(1).t() @ u, dim=0)
    return entries


def repeated(shapes: Shapes, value: float) -> dict[str, Tensor]:
    """One number in every place, which takes no room: a file of it is small, however large the network."""
    return {
        name: torch.full((1,), value).expand(shape) if shape else torch.tensor(7)
        for name, shape in shapes.items()
    }


def paint(
    entries: dict[str, Tensor], semantics: Tensor, doubled: tuple[str, ...], head: Tensor | None = None
) -> Tensor:
    """The published forward pass. `head`: what the first block starts from, if not from the label map."""

    def convolve(x: Tensor, name: str, padding: int = 1) -> Tensor:
        return F.conv2d(x, entries[f"{name}.weight"], entries[f"{name}.bias"], padding=padding)

    def normalised(x: Tensor, name: str, padding: int = 1) -> Tensor:
        weight, bias = entries[f"{name}.weight_orig"], entries.get(f"{name}.bias")
        sigma = entries[f"{name}.weight_u"] @ weight.flatten(1) @ entries[f"{name}.weight_v"]
        return F.conv2d(x, weight / sigma, bias, padding=padding)

    def spade(x: Tensor, name: str) -> Tensor:
        maps = F.interpolate(semantics, size=x.shape[-2:], mode="nearest")
        shared = convolve(maps, f"{name}.mlp_shared.0").relu()
        norm = f"{name}.param_free_norm"
        x = F.batch_norm(x, entries[f"{norm}.running_mean"], entries[f"{norm}.running_var"], eps=1e-5)
        return x * (1 + convolve(shared, f"{name}.mlp_gamma")) + convolve(shared, f"{name}.mlp_beta")

    scale = 2 ** len(doubled)
    x = convolve(semantics[..., ::scale, ::scale], "fc") if head is None else head
    for block, (wide, narrow) in (BLOCKS | LAST_OF_MOST if doubled == MOST else BLOCKS).items():
        if block in doubled:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        through = normalised(F.leaky_relu(spade(x, f"{block}.norm_0"), 0.2), f"{block}.conv_0")
        through = normalised(F.leaky_relu(spade(through, f"{block}.norm_1"), 0.2), f"{block}.conv_1")
        if wide != narrow:
            x = normalised(spade(x, f"{block}.norm_s"), f"{block}.conv_s", padding=0)
        x = x + through
    return torch.tanh(convolve(F.leaky_relu(x, 0.2), "conv_img"))


def random_semantics(labels: int, edges: bool, height: int, width: int) -> Tensor:
    """(1, S, H, W), NCHW in memory."""
    random = torch.Generator().manual_seed(1)
    blocks = torch.randint(0, labels, (1, height // 4, width // 4), generator=random)
    label_ids = blocks.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return one_hot_semantics(label_ids, instance_edges(label_ids) if edges else None, labels).contiguous()


def doubles(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in entries.items()}


def assert_paints(
    generator: SpadeGenerator, semantics: Tensor, expected: Tensor, code: Tensor | None = None
) -> None:
    """Compared in 64 bits: weights drawn at random make much of every rounding. The last step has 32."""
    painted = generator.double()(semantics.double(), None if code is None else code.double())
    assert painted.dtype == torch.float32
    assert expected.std() > 0.1
    torch.testing.assert_close(painted, expected.float(), atol=1e-6, rtol=1e-5)


def save(path: Path, entries: dict[str, Any]) -> Path:
    torch.save(entries, path)
    return path


def save_old(path: Path, entries: dict[str, Any]) -> Path:
    """As torch did up to 1.5, when the published files were made: no zip, several pickles in a row."""
    torch.save(entries, path, _use_new_zipfile_serialization=False)
    return path


def save_safe(path: Path, entries: dict[str, Any]) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in entries.items()}, path)
    return path


NARROW = published_shapes(width=2, hidden=3)
NO_COUNTERS = [name for name in NARROW if not name.endswith("num_batches_tracked")]


class TestTheWholeNetwork:
    """At full size, in a file of `repeated` numbers."""

    shapes = published_shapes()

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return save_old(tmp_path / "latest_net_G.pth", repeated(self.shapes, 0.25))

    def test_the_table_is_that_of_the_published_network(self) -> None:
        """Fault: a table that was written after the code, and not after the paper."""
        assert len(self.shapes) == 234
        parameters = [name for name in self.shapes if name.endswith(("weight", "weight_orig", "bias"))]
        assert sum(torch.Size(self.shapes[name]).numel() for name in parameters) == 93_048_003

    def test_it_loads_and_is_told_by_its_shapes(self, path: Path) -> None:
        assert path.stat().st_size < 2**20
        generator = load_published(path)
        assert generator.architecture == GeneratorArchitecture()  # the published one
        assert not generator.training
        assert not any(parameter.requires_grad for parameter in generator.parameters())
        assert sum(parameter.numel() for parameter in generator.parameters()) == 93_048_003
        loaded = generator.state_dict()
        assert {name: tuple(tensor.shape) for name, tensor in loaded.items()} == self.shapes
        assert loaded["up_2.norm_s.mlp_beta.weight"].unique().tolist() == [0.25]
        assert loaded["up_2.norm_s.param_free_norm.num_batches_tracked"] == 7

    @pytest.mark.slow  # two gigabytes of memory
    def test_it_comes_back_from_safetensors(self, path: Path) -> None:
        generator = load_published(path)
        again = load_generator(pack_generator(generator))
        for (name, tensor), back in zip(
            generator.state_dict().items(), again.state_dict().values(), strict=True
        ):
            assert torch.equal(tensor, back), name


@pytest.mark.parametrize(
    ("write", "channels", "options", "labels", "edges", "doubled"),
    [
        (save_old, 36, {}, 35, True, MORE),  # Cityscapes
        (save, 184, {}, 183, True, NORMAL),  # COCO-Stuff
        (save_safe, 151, {}, 151, False, NORMAL),  # ADE20K
        (save, 13, {}, 12, True, MORE),  # of one's own: edges and 'more' are assumed,
        (save, 13, {"instance_edges": False, "upsamplings": 5}, 13, False, NORMAL),  # or told
        (save, 36, {"instance_edges": False}, 36, False, MORE),
        (save, 36, {}, 35, True, MOST),
    ],
)
def test_it_paints_as_published(
    write: Callable[[Path, dict[str, Any]], Path],
    channels: int,
    options: dict[str, Any],
    labels: int,
    edges: bool,
    doubled: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """Fault: entries loaded in each other's place, sigma computed anew, edges taken for a label."""
    most = doubled == MOST
    entries = filled(published_shapes(channels, 4 if most else 2, hidden=3, most=most))
    generator = load_published(write(tmp_path / "latest_net_G.pth", entries), **options)
    architecture = generator.architecture
    assert (architecture.num_labels, architecture.instance_edges) == (labels, edges)
    assert (architecture.width, architecture.hidden, architecture.upsamplings) == (2, 3, len(doubled))
    semantics = random_semantics(labels, edges, 2 ** len(doubled), 2 ** len(doubled) * 2)
    assert_paints(generator, semantics, paint(doubles(entries), semantics.double(), doubled))


def test_gradients_reach_the_semantics(tmp_path: Path) -> None:
    """Fault: label ids taken back out of the channels, so that maps cannot be optimised."""
    generator = load_published(save(tmp_path / "g.pth", filled(NARROW)))
    semantics = random_semantics(35, True, 64, 64).requires_grad_()
    generator(semantics).sum().backward()
    assert semantics.grad is not None
    assert semantics.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("head", "told", "doubled", "options"),
    [
        ((1, 2), (1, 2), MORE, {}),
        ((2, 2), (2, 2), NORMAL, {"upsamplings": 5}),
        ((2, 1), (2, 1), NORMAL, {"upsamplings": 5, "linear_head": (2, 1)}),
        ((1, 3), (1, 3), NORMAL, {"upsamplings": 5, "linear_head": (1, 3)}),
    ],
)
def test_the_variant_with_a_style_encoder_starts_from_its_code(
    head: tuple[int, int],
    told: tuple[int, int],
    doubled: tuple[str, ...],
    options: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Fault: height and width of the head swapped, channels last in the rows of `fc`, the code used twice."""
    rows = 32 * head[0] * head[1]
    entries = filled({**NARROW, "fc.weight": (rows, 5), "fc.bias": (rows,)})
    generator = load_published(save(tmp_path / "g.pth", entries), **options)
    assert (generator.architecture.linear_head, generator.architecture.style_dim) == (told, 5)
    assert set(generator.state_dict()) == set(NARROW)
    scale = 2 ** len(doubled)
    semantics = random_semantics(35, True, head[0] * scale, head[1] * scale)
    code = torch.randn(1, 5, generator=torch.Generator().manual_seed(2))
    exact = doubles(entries)
    start = (exact["fc.weight"] @ code[0].double() + exact["fc.bias"]).reshape(1, 32, *head)
    in_the_mean = generator(semantics)
    torch.testing.assert_close(in_the_mean, generator(semantics, torch.zeros(1, 5)), atol=0, rtol=0)
    assert (in_the_mean - generator(semantics, code)).abs().max() > 0.1
    assert_paints(generator, semantics, paint(exact, semantics.double(), doubled, start), code)


def test_the_published_variant_at_256x512_has_a_head_of_4x8(tmp_path: Path) -> None:
    shapes = {**published_shapes(), "fc.weight": (1024 * 32, 256), "fc.bias": (1024 * 32,)}
    architecture = load_published(save(tmp_path / "g.pth", repeated(shapes, 0.25))).architecture
    assert architecture == GeneratorArchitecture(style_dim=256, linear_head=(4, 8))


def test_a_variance_of_0_and_a_spectral_norm_below_0_paint(tmp_path: Path) -> None:
    """Fault: a channel that never varied refused, or a network whose u and v were drawn at random."""
    entries = filled(NARROW)
    entries["up_0.norm_s.param_free_norm.running_var"][3] = 0
    entries["up_1.conv_0.weight_u"].neg_()
    generator = load_published(save(tmp_path / "g.pth", entries))
    semantics = random_semantics(35, True, 64, 128)
    assert_paints(generator, semantics, paint(doubles(entries), semantics.double(), MORE))


def test_prefix_missing_counters_and_half_floats_are_taken(tmp_path: Path) -> None:
    """Fault: the data-parallel prefix refused, or counters demanded that old torch never wrote."""
    entries = filled(NARROW)
    bare = {f"module.{name}": entries[name] for name in NO_COUNTERS}
    loaded = load_published(save_old(tmp_path / "g.pth", bare)).state_dict()
    for name in NARROW:
        expected = entries[name] if name in NO_COUNTERS else torch.tensor(0)
        assert torch.equal(loaded[name], expected), name
    halves = {name: tensor.half() for name, tensor in bare.items()}
    loaded = load_published(save(tmp_path / "g.pth", halves)).state_dict()
    for name in NO_COUNTERS:
        assert loaded[name].dtype == torch.float32
        assert torch.equal(loaded[name], entries[name].half().float()), name


def test_bit_for_bit_through_safetensors(tmp_path: Path) -> None:
    entries = filled(NARROW)
    generator = load_generator(pack_generator(load_published(save(tmp_path / "g.pth", entries))))
    loaded = generator.state_dict()
    assert set(loaded) == set(NARROW)
    for name, tensor in entries.items():
        assert torch.equal(loaded[name], tensor), name


def without(name: str) -> dict[str, Tensor]:
    return {other: tensor for other, tensor in filled(NARROW).items() if other != name}


def with_entry(name: str, value: Any) -> dict[str, Any]:
    return {**filled(NARROW), name: value}


NAN = torch.tensor([0.0] * 31 + [float("nan")])
SPARSE = torch.zeros(2, 2).to_sparse()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            without("up_1.conv_s.weight_u"),
            r"entry 'up_1\.conv_s\.weight_u' of shape 8 is missing; is this a SPADE",
        ),
        (
            without("fc.weight"),
            r"'fc\.weight' is missing: these are not .* \(the file holds 'G_middle_0\.conv_0\.",
        ),
        (without("head_0.norm_0.mlp_shared.0.weight"), r"'head_0\.norm_0\.mlp_shared\.0\.weight' is missing"),
        ({}, r"'head_0\.norm_0\.mlp_shared\.0\.weight' is missing: .* \(the file holds nothing\)$"),
        (
            {"model0.0.weight": torch.zeros(2), "a": torch.zeros(1)},
            r"'head_0\..*' is missing: .* \(the file holds 'a', 'model0\.0\.weight'\)$",
        ),
        (
            with_entry("up_9.surprise", torch.zeros(2)),
            r"entry 'up_9\.surprise' of shape 2 has no place in a SPADE generator",
        ),
        (
            with_entry("encoder.surprise", torch.zeros(2, 3)),
            r"entry 'encoder\.surprise' of shape 2x3 has no place in a SPADE generator of 35 labels",
        ),
        (
            with_entry("up_3.conv_0.bias", torch.zeros(5)),
            r"'up_3\.conv_0\.bias' has shape 5, the network wants 2; if the file is right, it is not of "
            r"35 labels with instance edges, width 2 \(at most 1024\), hidden 3, 6 upsamplings: give the",
        ),
        (
            with_entry("up_0.norm_s.mlp_shared.0.weight", torch.zeros(3, 35, 3, 3)),
            r"'up_0\.norm_s\.mlp_shared\.0\.weight' has shape 3x35x3x3, the network wants 3x36x3x3",
        ),
        (
            with_entry("conv_img.weight", torch.zeros(3, 1, 3, 3)),
            r"'head_0\.conv_0\.weight_orig' has shape 32x32x3x3: 32 channels, where 16 are expected over 4 "
            r"`up` blocks that end at the 1 of entry 'conv_img\.weight'; `up` blocks may be missing from the "
            r"file, 'up_4' first of all$",
        ),
        (
            with_entry("fc.weight", torch.zeros(7)),
            r"'fc\.weight' has shape 7; expected a convolution, out x in x height x width, or a linear layer",
        ),
        (
            with_entry("conv_img.weight", torch.zeros(3, 0, 3, 3)),
            r"'conv_img\.weight' has shape 3x0x3x3; expected a convolution, out x in x height x width$",
        ),
        (
            with_entry("fc.weight", torch.zeros(32 * 3, 5)),
            r"'fc\.weight' has 96 rows for a head of 32 channels; expected 32 times .* give linear_head$",
        ),
        (
            with_entry("head_0.norm_0.mlp_shared.0.weight", torch.zeros(3, 300, 3, 3)),
            r"its shapes tell num_labels 299, which no generator here has \(Input should be less",
        ),
        (
            with_entry("G_middle_1.norm_1.param_free_norm.running_var", torch.tensor([0.5, -0.25] * 16)),
            r"entry 'G_middle_1\.norm_1\.param_free_norm\.running_var' holds a variance below 0, -0\.25, of "
            r"which there is no root; use an earlier checkpoint$",
        ),
        (
            with_entry("up_2.conv_s.weight_u", torch.zeros(4)),
            r"entry 'up_2\.conv_s\.weight_u' makes the spectral norm u\^T W v of this convolution 0, and its "
            r"weight cannot be divided by that; use an earlier checkpoint$",
        ),
        (
            with_entry("head_0.conv_0.weight_v", torch.zeros(32 * 9)),
            r"entry 'head_0\.conv_0\.weight_v' makes the spectral norm u\^T W v of this convolution 0, and",
        ),
        (
            with_entry("head_0.conv_1.weight_orig", torch.zeros(32, 32, 3, 3)),
            r"entry 'head_0\.conv_1\.weight_orig' makes the spectral norm u\^T W v of this convolution 0, ",
        ),
        (
            # of no entry that is 0: but what is divided by 1e-42 overflows
            with_entry("head_0.conv_1.weight_v", filled(NARROW)["head_0.conv_1.weight_v"] * 1e-42),
            r"entry 'head_0\.conv_1\.weight_orig' makes the spectral norm .* cannot be divided by that",
        ),
        (
            {name: entry for name, entry in filled(NARROW).items() if not name.startswith("up_3.")},
            r"'head_0\.conv_0\.weight_orig' has shape 32x32x3x3: 32 channels, where 16 are expected over 3 "
            r"`up` blocks that end at the 2 of entry 'conv_img\.weight'; `up` blocks may be missing from the "
            r"file, 'up_3' first of all$",
        ),
        (with_entry("fc.bias", NAN), r"entry 'fc\.bias' holds NaN or infinite values"),
        (with_entry("fc.bias", -NAN.nan_to_num(nan=float("inf"))), r"entry 'fc\.bias' holds NaN or infinite"),
        (with_entry("fc.bias", torch.zeros(32).char()), r"'fc\.bias' holds numbers of type torch\.int8, the"),
        (with_entry("fc.bias", SPARSE), r"'fc\.bias' is no plain tensor of numbers \(torch\.sparse_coo, "),
        (
            with_entry("fc.bias", torch.zeros(32, device="meta")),
            r"'fc\.bias' is no plain tensor .* on meta\)",
        ),
        (
            with_entry("epoch", 3),
            r"holds no state dict of tensors: 'epoch' is of type int; save `generator\.state_dict",
        ),
        (
            {"epoch": torch.tensor(3), "state_dict": filled(NARROW)},
            r"under 'state_dict' is a dictionary of 234 entries\. If that is the generator's state dict",
        ),
        (
            [torch.zeros(1)],
            r"holds no state dict of tensors, but a list; save `generator\.state_dict\(\)` alone",
        ),
    ],
    ids=itertools.count(),
)
def test_what_does_not_fit_is_named_with_what_was_expected(
    entries: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=rf"^{tmp_path}/latest_net_G\.pth: .*{message}"):
        load_published(save(tmp_path / "latest_net_G.pth", entries))


def test_what_shapes_contradict_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "g.pth", filled(NARROW))
    with pytest.raises(WeightsError, match=r"`up` blocks go with 5 or 6 upsamplings, not with 4$"):
        load_published(path, upsamplings=4)
    with pytest.raises(
        WeightsError,
        match=r"go with 5 or 6 upsamplings, not with 7; if it has that many, `up` blocks are miss",
    ):
        load_published(path, upsamplings=7)
    with pytest.raises(
        WeightsError, match=r"'fc\.weight' has shape 32x36x3x3: a convolution, .* leave linear_head out$"
    ):
        load_published(path, linear_head=(4, 8))
    rows = {"fc.weight": torch.zeros(64, 5), "fc.bias": torch.zeros(64)}
    path = save(tmp_path / "g.pth", {**filled(NARROW), **rows})
    with pytest.raises(
        WeightsError, match=r"'fc\.weight' has shape 64x5, the network wants 128x5; .* of 2x2 "
    ):
        load_published(path, linear_head=(2, 2))


def test_a_head_wider_than_its_blocks_is_named(tmp_path: Path) -> None:
    """Fault: a network of a kind that is not known here, taken for a narrower one."""
    shapes = published_shapes(width=4) | {"conv_img.weight": (3, 2, 3, 3)}
    with pytest.raises(
        WeightsError, match=r"64 channels, where 32 are expected over 4 `up` blocks .* at the 2 "
    ):
        load_published(save(tmp_path / "g.pth", {name: torch.zeros(shape) for name, shape in shapes.items()}))


def test_our_own_file_is_not_taken_for_a_published_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    architecture = GeneratorArchitecture(width=2, hidden=3, upsamplings=5)
    (tmp_path / "model.safetensors").write_bytes(pack_generator(SpadeGenerator(architecture)))
    with pytest.raises(
        WeightsError, match=r"model\.safetensors: written by SegSPADE, .* use load_generator$"
    ):
        load_published(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; the copy or download was cut off, so fetch it again"),
        (
            b"\n<!DOCTYPE html><html>Sign in</html>",
            "is a web page and no weights, as a download that was refused",
        ),
        (b"404: Not Found", "neither a PyTorch checkpoint nor a safetensors file; give the file to which"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "neither a PyTorch checkpoint nor a safetensors file; give the file to which",
        ),
        (
            b"PK\x03\x04 of some other program",
            "cannot be read as a checkpoint: it is cut off or damaged, so copy it again$",
        ),
    ],
    ids=["empty", "page", "text", "lfs", "zip"],
)
def test_files_that_are_no_weights_say_what_they_are(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "g.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"^{tmp_path}/g\.pth: {message}"):
        load_published(tmp_path / "g.pth")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"nowhere\.pth: cannot be read \(No such file or directory\); give"
    ):
        load_published(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match=r": cannot be read \(Is a directory\); give the path of a \.pth"):
        load_published(tmp_path)


FEW = {"fc.weight": torch.ones(4, 3, 3, 3), "fc.bias": torch.ones(4), "count": torch.tensor(1)}


@pytest.mark.parametrize("write", [save, save_old, save_safe])
def test_a_file_that_was_cut_off_is_refused_wherever_it_ends(
    write: Callable[[Path, dict[str, Any]], Path], tmp_path: Path
) -> None:
    """Fault: an error of the reader's own kind, with a traceback."""
    whole = write(tmp_path / "g.pth", FEW).read_bytes()
    assert set(read_entries(whole, "g.pth", "generator")[0]) == set(FEW)
    for end in [*range(40), *range(40, len(whole) - 1, 20), len(whole) - 1]:
        with pytest.raises(WeightsError, match=r"^g\.pth: "):
            read_entries(whole[:end], "g.pth", "generator")


@pytest.mark.parametrize("write", [save, save_old, save_safe])
def test_altered_bytes_are_refused_or_change_numbers_alone(
    write: Callable[[Path, dict[str, Any]], Path], tmp_path: Path
) -> None:
    """Fault: a damaged pickle that fails in a way of its own gets past the messages."""
    whole = write(tmp_path / "g.pth", FEW).read_bytes()
    refused = 0
    for position in range(0, len(whole), 3):
        altered = bytearray(whole)
        altered[position] ^= 0x55
        try:
            entries, _ = read_entries(bytes(altered), "g.pth", "generator")
        except WeightsError:
            refused += 1
        else:
            assert all(isinstance(entry, Tensor) for entry in entries.values())
    assert refused > 20


class Planted:
    """Unpickled as pickle does it, it runs a program that makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


DOCUMENTS: dict[str, Callable[[Planted], Any]] = {
    "entry": lambda plant: {**FEW, "fc.bias": plant},
    "beside": lambda plant: {**FEW, "zzz": plant},
    "first": lambda plant: {"aaa": plant, **FEW},
    "nested": lambda plant: {"state_dict": {**FEW, "zzz": [plant]}},
    "all": lambda plant: plant,
}


def planted_file(kind: str, how: str, plant: Planted) -> bytes:
    """`kind`: of DOCUMENTS. `how`: a zip or an old checkpoint, a zip with its pickle swapped, or bare."""
    if how.startswith("bare"):
        return pickle.dumps(DOCUMENTS[kind](plant), int(how[-1]))
    buffer = io.BytesIO()
    torch.save(
        FEW if how == "swapped" else DOCUMENTS[kind](plant),
        buffer,
        _use_new_zipfile_serialization=how != "old",
    )
    if how == "swapped":
        return _with_pickle(buffer.getvalue(), pickle.dumps(plant, 2))
    return buffer.getvalue()


def _with_pickle(checkpoint: bytes, planted: bytes) -> bytes:
    """A sound zip checkpoint whose own pickle was replaced afterwards."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as source, zipfile.ZipFile(out, "w") as target:
        for info in source.infolist():
            content = source.read(info)
            target.writestr(info, planted if info.filename.endswith("data.pkl") else content)
    return out.getvalue()


PLANTED = [
    *itertools.product(DOCUMENTS, ("zip", "old")),
    *(("all", f"bare-{protocol}") for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
    ("all", "swapped"),
]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(("kind", "how"), PLANTED)
def test_a_planted_pickle_does_not_run(kind: str, how: str, suffix: str, tmp_path: Path) -> None:
    """Fault: weights_only=False, or a second try without it. The plant is shown to be live first."""
    mark = tmp_path / "it ran"
    content = planted_file(kind, how, Planted(mark))
    if how.startswith("bare"):
        pickle.loads(content)
    else:
        torch.load(io.BytesIO(content), weights_only=False)
    assert mark.exists()
    mark.unlink()

    path = tmp_path / f"latest_net_G{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        load_published(path)
    assert not mark.exists()
    expected = "not a plain checkpoint of tensors: it holds 'posix.system'; nothing in it was run; save "
    if how in ("bare-0", "bare-1"):  # of no known beginning
        expected = "neither a PyTorch checkpoint nor a safetensors file; give the file to which "
    elif how in ("bare-4", "bare-5"):  # torch knows no such pickles, and does not say what is in them
        expected = "not a plain checkpoint of tensors: it holds something else, or is damaged; nothing in "
    assert str(caught.value).startswith(f"{path}: {expected}")
