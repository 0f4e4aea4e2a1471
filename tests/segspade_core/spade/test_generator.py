"""The generator against the published counts, names and definitions."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import InputError
from segspade_core.spade.generator import SpadeGenerator, block_widths
from segspade_core.spade.modulation import Spade
from segspade_core.spade.semantics import instance_edges, one_hot_semantics

TINY = GeneratorArchitecture(num_labels=4, width=4, max_channels=16, hidden=5, upsamplings=3)


def semantics_of(batch: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    label_ids = torch.randint(0, 4, (batch, height, width), generator=random, dtype=torch.uint8)
    return one_hot_semantics(label_ids, instance_edges(label_ids), 4)


def test_the_published_network_has_the_published_size_and_names() -> None:
    """Fault: a bias more or less, a shared hidden layer, another middle width, a renamed entry."""
    with torch.device("meta"):
        generator = SpadeGenerator(GeneratorArchitecture())
    assert sum(parameter.numel() for parameter in generator.parameters()) == 93_048_003
    expected = {"fc.weight", "fc.bias", "conv_img.weight", "conv_img.bias"}
    ups = [f"up_{index}" for index in range(4)]
    for block in ["head_0", "G_middle_0", "G_middle_1", *ups]:
        for conv, entry in itertools.product(
            ("conv_0", "conv_1"), ("bias", "weight_orig", "weight_u", "weight_v")
        ):
            expected.add(f"{block}.{conv}.{entry}")
        if block in ups:
            expected |= {f"{block}.conv_s.{entry}" for entry in ("weight_orig", "weight_u", "weight_v")}
        for norm in ("norm_0", "norm_1", *(["norm_s"] if block in ups else [])):
            stem = f"{block}.{norm}"
            expected |= {
                f"{stem}.param_free_norm.{e}" for e in ("running_mean", "running_var", "num_batches_tracked")
            }
            for conv, entry in itertools.product(
                ("mlp_shared.0", "mlp_gamma", "mlp_beta"), ("weight", "bias")
            ):
                expected.add(f"{stem}.{conv}.{entry}")
    entries = generator.state_dict()
    assert len(entries) == 234
    assert set(entries) == expected
    assert entries["up_0.conv_s.weight_orig"].shape == (512, 1024, 1, 1)
    assert entries["fc.weight"].shape == (1024, 36, 3, 3)


@pytest.mark.parametrize(
    ("upsamplings", "widths"),
    [
        (1, [2]),
        (3, [8, 4, 2]),
        (5, [32, 16, 8, 4, 2]),
        (6, [32, 16, 8, 4, 2]),
        (8, [128, 64, 32, 16, 8, 4, 2]),
    ],
)
def test_widths_halve_and_the_picture_keeps_its_size(upsamplings: int, widths: list[int]) -> None:
    """Fault: a depth at which the last block is not doubled, or not `width` wide."""
    architecture = GeneratorArchitecture(num_labels=4, width=2, hidden=2, upsamplings=upsamplings)
    assert block_widths(architecture) == widths
    size = 2**upsamplings
    images = SpadeGenerator(architecture).eval()(semantics_of(1, size, 2 * size))
    assert images.shape == (1, 3, size, 2 * size)
    assert images.abs().max() <= 1


def test_no_block_is_wider_than_allowed() -> None:
    assert block_widths(GeneratorArchitecture(width=64, max_channels=200)) == [200, 200, 200, 128, 64]


def test_spade_is_equation_1_of_the_paper() -> None:
    """Fault: gamma for 1 + gamma, gamma and beta swapped, no ReLU, statistics of another axis."""
    torch.manual_seed(0)
    spade = Spade(6, 5, 7).train()
    x, semantics = torch.randn(2, 6, 8, 8) * 3 + 1, semantics_of(2, 8, 8)
    shared = F.relu(F.conv2d(semantics, spade.mlp_shared[0].weight, spade.mlp_shared[0].bias, padding=1))
    gamma = F.conv2d(shared, spade.mlp_gamma.weight, spade.mlp_gamma.bias, padding=1)
    beta = F.conv2d(shared, spade.mlp_beta.weight, spade.mlp_beta.bias, padding=1)
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = x.var((0, 2, 3), unbiased=False, keepdim=True)
    expected = (x - mean) / torch.sqrt(variance + 1e-5) * (1 + gamma) + beta
    torch.testing.assert_close(spade(x, semantics), expected, atol=1e-5, rtol=1e-5)

    spade.eval()
    norm = spade.param_free_norm
    expected = F.batch_norm(x, norm.running_mean, norm.running_var) * (1 + gamma) + beta
    torch.testing.assert_close(spade(x, semantics), expected, atol=1e-5, rtol=1e-5)


def test_forward_agrees_with_the_definition_written_out() -> None:
    """Fault: a doubling in the wrong place, a shortcut with activation, no last ReLU."""
    torch.manual_seed(0)
    generator = SpadeGenerator(TINY).eval()
    semantics = semantics_of(2, 16, 24)
    entries = generator.state_dict()

    def convolve(name: str, x: torch.Tensor, padding: int = 1) -> torch.Tensor:
        if f"{name}.weight" in entries:
            return F.conv2d(x, entries[f"{name}.weight"], entries[f"{name}.bias"], padding=padding)
        weight, u, v = (entries[f"{name}.weight_{part}"] for part in ("orig", "u", "v"))
        return F.conv2d(x, weight / (u @ weight.flatten(1) @ v), entries.get(f"{name}.bias"), padding=padding)

    def modulate(name: str, x: torch.Tensor) -> torch.Tensor:
        near = F.interpolate(semantics, size=x.shape[-2:], mode="nearest")
        shared = convolve(f"{name}.mlp_shared.0", near).relu()
        norm = f"{name}.param_free_norm.running"
        x = F.batch_norm(x, entries[f"{norm}_mean"], entries[f"{norm}_var"])
        return x * (1 + convolve(f"{name}.mlp_gamma", shared)) + convolve(f"{name}.mlp_beta", shared)

    def block(name: str, x: torch.Tensor) -> torch.Tensor:
        through = convolve(f"{name}.conv_0", F.leaky_relu(modulate(f"{name}.norm_0", x), 0.2))
        through = convolve(f"{name}.conv_1", F.leaky_relu(modulate(f"{name}.norm_1", through), 0.2))
        if f"{name}.conv_s.weight_orig" in entries:
            x = convolve(f"{name}.conv_s", modulate(f"{name}.norm_s", x), padding=0)
        return through + x

    x = convolve("fc", semantics[..., ::8, ::8])
    x = block("head_0", x)
    for name, scale in (("G_middle_0", 2), ("G_middle_1", 1), ("up_0", 2), ("up_1", 2)):
        x = block(name, x.repeat_interleave(scale, 2).repeat_interleave(scale, 3))
    expected = torch.tanh(convolve("conv_img", F.leaky_relu(x, 0.2)))
    torch.testing.assert_close(generator(semantics), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(generator.inference_copy()(semantics), expected, atol=1e-5, rtol=1e-4)


def test_six_upsamplings_double_between_the_middle_blocks() -> None:
    """Fault: the published depth built as five upsamplings and one more at the end."""
    seen: list[tuple[int, ...]] = []
    architecture = GeneratorArchitecture(num_labels=4, width=2, hidden=2, upsamplings=6)
    generator = SpadeGenerator(architecture).eval()
    for name in ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3"):
        generator.get_submodule(name).register_forward_hook(
            lambda _m, _i, out: seen.append(tuple(out.shape[1:]))
        )
    generator(semantics_of(1, 64, 64))
    assert seen == [(32, 1, 1), (32, 2, 2), (32, 4, 4), (16, 8, 8), (8, 16, 16), (4, 32, 32), (2, 64, 64)]


def test_golden_forward_worked_by_hand() -> None:
    """One channel everywhere, all weights 1 but the modulation's: every number can be followed on paper.

    No batch has been seen, so the norm divides by sqrt(1 + 1e-5), which is 1 within the tolerance. gamma is 0
    and beta 0.5. With upsamplings 1 there are three blocks without learned shortcut, on 1x1 and then 2x2
    pixels. A 3x3 convolution of ones over a 1x1 picture is x, over a constant 2x2 picture 4x (the rest is
    padding); divided by sigma = 9 u v with u = 1 and v = 1/3 each, 3 per kernel.
    Semantics (one-hot of two labels): fc gives 1.
    head: a = 1 + .5 = 1.5; conv_0: 1.5 / 3 = .5; + .5 = 1; conv_1: 1 / 3; out 4/3.
    G_middle_0 (2x2): 4/3 + 1/2 = 11/6; conv_0 * 4/3 = 22/9; + 1/2 = 53/18; * 4/3 = 106/27; out 142/27.
    G_middle_1: + 1/2 = 311/54; * 4/3 = 622/81; + 1/2 = 1325/162; * 4/3 = 2650/243; out 3928/243.
    conv_img with weights 0.01: 4 * 0.01 * 3928/243; tanh.
    """
    generator = SpadeGenerator(
        GeneratorArchitecture(num_labels=2, instance_edges=False, width=1, hidden=1, upsamplings=1)
    ).eval()
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            parameter.fill_(0 if "bias" in name or "mlp_" in name else 1)
            if name.endswith("mlp_beta.bias"):
                parameter.fill_(0.5)
        generator.conv_img.weight.fill_(0.01)
        for name, buffer in generator.named_buffers():
            if name.endswith("weight_u"):
                buffer.fill_(1)
            if name.endswith("weight_v"):
                buffer.fill_(1 / 3)
    label_ids = torch.tensor([[[1, 0], [0, 0]]], dtype=torch.uint8)
    images = generator(one_hot_semantics(label_ids, None, 2))
    expected = torch.full((1, 3, 2, 2), 0.04 * 3928 / 243).tanh()
    torch.testing.assert_close(images, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "given"),
    [
        (lambda semantics: semantics.long(), "shape (2, 5, 16, 64) and torch.int64"),
        (lambda semantics: semantics.double(), "shape (2, 5, 16, 64) and torch.float64"),
        (lambda semantics: semantics[0], "shape (5, 16, 64) and torch.float32"),
        (lambda semantics: semantics[:, :4], "shape (2, 4, 16, 64) and torch.float32"),
        # label ids themselves, with and without a channel of their own
        (lambda semantics: semantics.argmax(1), "shape (2, 16, 64) and torch.int64"),
        (lambda semantics: semantics.argmax(1, keepdim=True), "shape (2, 1, 16, 64) and torch.int64"),
    ],
)
def test_what_is_no_semantics_says_what_is_taken(
    change: Callable[[torch.Tensor], torch.Tensor], given: str
) -> None:
    """Fault: a raw error of convolution; or the width of label ids told as a number of channels."""
    with pytest.raises(InputError) as caught:
        SpadeGenerator(TINY)(change(semantics_of(2, 16, 64)))
    assert str(caught.value) == (
        f"the semantics are a tensor of {given}; this generator takes a tensor of shape (B, 5, H, W) and "
        "torch.float32, as one_hot_semantics makes it of label ids"
    )


def test_the_weights_own_dtype_is_taken() -> None:
    """Fault: float32 demanded, where a generator in double checks gradients."""
    torch.manual_seed(0)
    generator, semantics = SpadeGenerator(TINY).eval(), semantics_of(1, 8, 16)
    expected = generator(semantics)
    torch.testing.assert_close(generator.double()(semantics.double()), expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(
        InputError, match=r"and torch\.float32; .* \(B, 5, H, W\) and torch\.float64, as one_hot"
    ):
        generator(semantics)


def test_a_code_that_does_not_suit_says_what_is_taken() -> None:
    """Fault: an error of some layer; a code that is left unused."""
    generator, semantics = SpadeGenerator(TINY.model_copy(update={"style_dim": 3})), semantics_of(2, 8, 16)
    for code, message in (
        (torch.zeros(2, 4), r"^the code has shape \(2, 4\); this generator takes \(2, 3\)$"),
        (torch.zeros(1, 3), r"^the code has shape \(1, 3\); this generator takes \(2, 3\)$"),
        (
            torch.zeros(2, 3).double(),
            r"^the code is a tensor of shape \(2, 3\) and torch\.float64; this generator takes a tensor of "
            r"torch\.float32$",
        ),
    ):
        with pytest.raises(InputError, match=message):
            generator(semantics, code)
    with pytest.raises(
        InputError, match=r"^this generator paints from the label map alone: leave the code out$"
    ):
        SpadeGenerator(TINY)(semantics, torch.zeros(2, 3))


def test_a_size_that_does_not_halve_is_named() -> None:
    with pytest.raises(
        InputError,
        match=r"label maps of 20x24 do not suit a generator of 3 upsamplings: "
        r"both sides must be multiples of 8",
    ):
        SpadeGenerator(TINY)(semantics_of(1, 20, 24))
