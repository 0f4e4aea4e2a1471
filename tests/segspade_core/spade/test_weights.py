"""Our own files: network, style encoder and architecture in, the same out, also of files that are older."""

from __future__ import annotations

import pytest
import torch

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import WeightsError
from segspade_core.shipped import shipped_weights
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.semantics import instance_edges, one_hot_semantics
from segspade_core.spade.spectral import SpectralConv2d
from segspade_core.spade.style import StyleEncoder
from segspade_core.spade.weights import load_generator, load_style_encoder, pack_generator
from segspade_core.training.checkpoint import pack_weights, read_metadata, unpack_weights

TINY = GeneratorArchitecture(width=2, max_channels=1024, hidden=3, upsamplings=6)
CODED = GeneratorArchitecture(
    width=2,
    hidden=3,
    upsamplings=5,
    style_dim=4,
    style_width=2,
    cities=("aachen", "ulm"),
    times_of_day=("day", "night"),
    condition_dim=3,
)
LINEAR = GeneratorArchitecture(
    width=2, hidden=3, upsamplings=5, style_dim=4, style_width=2, linear_head=(2, 4)
)
LABEL_IDS = torch.randint(0, 34, (2, 64, 64), generator=torch.Generator().manual_seed(0))
MAPS = one_hot_semantics(LABEL_IDS, instance_edges(LABEL_IDS), 35)


def network(architecture: GeneratorArchitecture = TINY, seed: int = 0) -> SpadeGenerator:
    torch.manual_seed(seed)
    return SpadeGenerator(architecture).eval()


@pytest.mark.parametrize("architecture", [TINY, CODED, LINEAR], ids=["plain", "coded", "linear"])
def test_bytes_hold_network_and_architecture(architecture: GeneratorArchitecture) -> None:
    """Fault: a setting that JSON brings back as something else, such as a list for a tuple."""
    generator = network(architecture)
    content = pack_generator(generator, extra={"note": 1})
    loaded = load_generator(content)
    assert loaded.architecture == architecture
    assert hash(loaded.architecture) == hash(architecture)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert read_metadata(content)["note"] == 1
    assert load_style_encoder(content) is None
    state = loaded.state_dict()
    assert set(state) == set(generator.state_dict())
    for name, tensor in generator.state_dict().items():
        assert torch.equal(state[name], tensor), name


def test_a_style_encoder_travels_in_the_same_file() -> None:
    """Fault: it is loaded into the generator, keeps its prefix, or takes names of the generator."""
    generator = network(CODED)
    encoder = StyleEncoder(CODED).eval()
    content = pack_generator(generator, style_encoder=encoder)
    assert len(unpack_weights(content)[0]) == len(generator.state_dict()) + len(encoder.state_dict())
    assert set(load_generator(content).state_dict()) == set(generator.state_dict())
    loaded = load_style_encoder(content)
    assert loaded is not None
    assert not loaded.training
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    for found, expected in zip(loaded(images), encoder(images), strict=True):
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_a_style_encoder_that_does_not_fit_is_named() -> None:
    content = pack_generator(network(CODED), style_encoder=StyleEncoder(CODED))
    entries, metadata = unpack_weights(content)
    metadata["architecture"]["style_dim"] = 5
    with pytest.raises(
        WeightsError,
        match=r"^x \(style encoder\): entry 'mu\.weight' has shape 4x256, the network wants 5x256; ",
    ):
        load_style_encoder(pack_weights(entries, metadata), "x")
    metadata["architecture"]["style_dim"] = 0
    with pytest.raises(
        WeightsError, match=r"^x: holds a style encoder \('logvar\.bias', \.\.\.\), but .* has style_dim 0"
    ):
        load_style_encoder(pack_weights(entries, metadata), "x")


def test_a_style_encoder_that_can_only_say_nan_is_named() -> None:
    """Fault: the encoder's spectral norms are not looked at, only the generator's."""
    encoder = StyleEncoder(CODED)
    content = pack_generator(network(CODED), style_encoder=encoder)
    assert load_style_encoder(content) is not None
    encoder.steps[3].weight_u.zero_()
    with pytest.raises(
        WeightsError,
        match=r"^x \(style encoder\): entry 'steps\.3\.weight_u' makes the spectral norm u\^T W v of this "
        r"convolution -?0, and its weight cannot be divided by that; use an earlier checkpoint$",
    ):
        load_style_encoder(pack_generator(network(CODED), style_encoder=encoder), "x")


def test_half_storage_loads_as_float32_and_paints_nearly_the_same() -> None:
    """Fault: a float16 network on the CPU, or u and v rounded so that sigma is off."""
    generator = network()
    for module in generator.modules():
        if isinstance(module, SpectralConv2d):
            # as trained weights are: with random u and v sigma may be near 0, and every rounding shows
            module.power_iteration(30)
    whole, half = pack_generator(generator), pack_generator(generator, half=True)
    assert len(half) < 0.8 * len(whole)
    loaded = load_generator(half)
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32, torch.int64}
    # two of 255 steps of a picture
    torch.testing.assert_close(loaded(MAPS), generator(MAPS), atol=4 / 255, rtol=0)


@pytest.mark.parametrize("architecture", [CODED, LINEAR], ids=["coded", "linear"])
def test_half_storage_halves_weights_and_nothing_else(architecture: GeneratorArchitecture) -> None:
    """Fault: linear layers, most of a style encoder, left whole; batch statistics or embeddings rounded."""
    encoder = StyleEncoder(architecture)
    content = pack_generator(network(architecture), style_encoder=encoder, half=True)
    entries, _ = unpack_weights(content)
    halved = {name for name, entry in entries.items() if entry.dtype == torch.float16}
    weights = {
        name
        for name in entries
        if name.endswith((".weight", ".weight_orig")) and not name.startswith("code_book.")
    }
    assert halved == weights
    assert "style_encoder.mu.weight" in halved
    assert {"fc.weight", "head_0.conv_0.weight_orig"} < halved
    codes = [name for name in entries if name.endswith(".code.weight")]
    assert bool(codes) == (architecture is CODED)
    assert halved.issuperset(codes)
    loaded = load_style_encoder(content)
    assert loaded is not None
    assert torch.equal(loaded.mu.weight, encoder.mu.weight.half().float())


def test_a_file_of_the_first_version_loads() -> None:
    """Fault: settings that came later are demanded of files that were written before."""
    generator = network()
    old = ("num_labels", "instance_edges", "width", "max_channels", "hidden", "upsamplings")
    architecture = {name: getattr(TINY, name) for name in old}
    content = pack_weights(dict(generator.state_dict()), {"kind": "generator", "architecture": architecture})
    assert load_generator(content).architecture == TINY
    assert load_style_encoder(content) is None


def test_the_shipped_generator_loads() -> None:
    content, _ = shipped_weights("minicity")
    assert load_generator(content).architecture.num_labels == 35


def test_files_that_are_not_ours_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"^x: weights of a segmenter, not of a generator"):
        load_generator(pack_weights({}, {"kind": "segmenter"}), "x")
    with pytest.raises(
        WeightsError,
        match=r"^x: its metadata holds no architecture this version knows \(width: Input should be greater",
    ):
        load_generator(pack_weights({}, {"kind": "generator", "architecture": {"width": 0}}), "x")
    with pytest.raises(
        WeightsError, match=r"^x: .* no architecture this version knows \(heads: Extra inputs"
    ):
        load_generator(pack_weights({}, {"kind": "generator", "architecture": {"heads": 2}}), "x")
    with pytest.raises(
        WeightsError, match=r"^x: its metadata names no architecture, .* import-generator` takes"
    ):
        load_generator(pack_weights(dict(network().state_dict()), {}), "x")
