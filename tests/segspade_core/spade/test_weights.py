"""Weights in and out: ours, published ones, and those that do not fit."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segspade_core.config import GeneratorArchitecture, GeneratorImportConfig
from segspade_core.errors import WeightsError
from segspade_core.spade import shipped
from segspade_core.spade.generator import Generator
from segspade_core.spade.painting import synthesize
from segspade_core.spade.spectral import SpectralConv2d
from segspade_core.spade.weights import import_generator, load_generator, pack_generator
from segspade_core.training.checkpoint import pack_weights, read_metadata

TINY = GeneratorArchitecture(width=2, max_channels=1024, hidden=3, upsamplings=6)
MAPS = np.random.default_rng(0).integers(0, 34, (3, 64, 64), dtype=np.uint8)


def tiny(seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    return Generator(TINY).eval()


def published(
    tmp_path: Path, entries: dict[str, Any], name: str = "latest_net_G.pth"
) -> GeneratorImportConfig:
    torch.save(entries, tmp_path / name)
    return GeneratorImportConfig(weights=str(tmp_path / name))


def test_bytes_hold_network_and_architecture() -> None:
    generator = tiny()
    loaded = load_generator(pack_generator(generator, extra={"note": 1}))
    assert loaded.architecture == TINY
    assert not loaded.training
    assert read_metadata(pack_generator(generator, extra={"note": 1}))["note"] == 1
    for name, tensor in generator.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_half_storage_loads_as_float32_and_paints_nearly_the_same() -> None:
    """Fault: a float16 network on the CPU, or u and v rounded so that sigma is off."""
    generator = tiny()
    for module in generator.modules():
        if isinstance(module, SpectralConv2d):
            # as trained weights are: with random u and v sigma may be near 0, and every rounding shows
            module.power_iteration(30)
    whole, half = pack_generator(generator), pack_generator(generator, half=True)
    assert len(half) < 0.8 * len(whole)
    loaded = load_generator(half)
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32, torch.int64}
    difference = synthesize(loaded, MAPS).astype(int) - synthesize(generator, MAPS)
    assert np.abs(difference).max() <= 2


def test_a_published_checkpoint_comes_in(tmp_path: Path) -> None:
    """Fault: the data-parallel prefix refused, or counters demanded that old torch never wrote."""
    generator = tiny()
    entries = {
        f"module.{name}": tensor
        for name, tensor in generator.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    content, info = import_generator(published(tmp_path, entries))
    assert info["architecture"] == TINY.model_dump(mode="json")
    assert info["source"] == "latest_net_G.pth"
    assert info["parameters"] == sum(parameter.numel() for parameter in generator.parameters())
    np.testing.assert_array_equal(synthesize(load_generator(content), MAPS), synthesize(generator, MAPS))


def test_our_file_comes_in_from_a_path(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(pack_generator(tiny()))
    content, info = import_generator(GeneratorImportConfig(weights=str(tmp_path / "model.safetensors")))
    assert content == pack_generator(tiny())
    assert len(info["sha256"]) == 64


def test_the_variant_with_a_style_encoder_is_refused_by_name(tmp_path: Path) -> None:
    entries = {**tiny().state_dict(), "fc.weight": torch.zeros(64, 256)}
    with pytest.raises(
        WeightsError, match=r"'fc\.weight' has shape 64x256: a linear layer from 256 style numbers"
    ):
        import_generator(published(tmp_path, entries))


def test_what_does_not_fit_is_named_with_its_shapes(tmp_path: Path) -> None:
    entries = tiny().state_dict()
    config = published(tmp_path, entries)
    wrong = config.model_copy(update={"generator": TINY.model_copy(update={"hidden": 4})})
    with pytest.raises(
        WeightsError, match=r"mlp_shared\.0\.weight' has shape 3x36x3x3, the network wants 4x36x3x3; give the"
    ):
        import_generator(wrong)
    del entries["up_1.conv_s.weight_u"]
    with pytest.raises(WeightsError, match=r"entry 'up_1\.conv_s\.weight_u' of shape 8 is missing"):
        import_generator(published(tmp_path, entries))
    entries = {**tiny().state_dict(), "up_9.surprise": torch.zeros(2)}
    with pytest.raises(WeightsError, match=r"entry 'up_9\.surprise' of shape 2 has no place"):
        import_generator(published(tmp_path, entries))
    entries = tiny().state_dict()
    entries["fc.bias"][0] = float("nan")
    with pytest.raises(WeightsError, match=r"entry 'fc\.bias' holds NaN"):
        import_generator(published(tmp_path, entries))
    with pytest.raises(WeightsError, match=r"entry 'fc\.weight' is missing: these are not"):
        import_generator(published(tmp_path, {"layer": torch.zeros(1)}))


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.pth: cannot be read \(No such file"):
        import_generator(GeneratorImportConfig(weights=str(tmp_path / "nowhere.pth")))
    (tmp_path / "text.pth").write_text("404: not found")
    with pytest.raises(WeightsError, match=r"text\.pth: not a safetensors file"):
        import_generator(GeneratorImportConfig(weights=str(tmp_path / "text.pth")))
    with pytest.raises(WeightsError, match=r"latest_net_G\.pth: holds no state dict of tensors"):
        import_generator(published(tmp_path, {"epoch": 3}))
    with pytest.raises(WeightsError, match=r"^x: weights of a segmenter, not of a generator"):
        load_generator(pack_weights({}, {"kind": "segmenter"}), "x")
    with pytest.raises(WeightsError, match=r"^x: its metadata holds no architecture this version knows"):
        load_generator(pack_weights({}, {"kind": "generator", "architecture": {"width": 0}}), "x")


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    """Fault: weights_only=False, and a stranger's file runs what it likes."""

    class Bad:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    buffer = io.BytesIO()
    torch.save({"a": Bad()}, buffer)
    bare = [pickle.dumps({"a": Bad()}, protocol) for protocol in (2, 3, 4, 5)]
    for content in (buffer.getvalue(), *bare):
        (tmp_path / "bad.pth").write_bytes(content)
        with pytest.raises(WeightsError, match=r"bad\.pth: not a plain checkpoint of tensors"):
            import_generator(GeneratorImportConfig(weights=str(tmp_path / "bad.pth")))
        assert not (tmp_path / "ran").exists()


def test_shipped_weights_come_with_their_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "minicity.safetensors").write_bytes(pack_generator(tiny(), half=True))
    (tmp_path / "minicity.json").write_text(json.dumps({"seconds": 3600}))
    monkeypatch.setattr(shipped.resources, "files", lambda package: tmp_path)
    content, info = import_generator(GeneratorImportConfig())
    assert info["manifest"] == {"seconds": 3600}
    assert info["source"] == "shipped:minicity"
    assert load_generator(content).architecture == TINY


def test_weights_that_are_not_shipped_say_what_to_do() -> None:
    with pytest.raises(WeightsError, match=r"^shipped:atlantis: no such weights .*minicity-generator\.yaml"):
        import_generator(GeneratorImportConfig(weights="shipped:atlantis"))
    with pytest.raises(WeightsError, match="no such weights"):
        shipped.shipped_weights("../secret")
