"""Generators from elsewhere: ours, shipped ones and published ones come out in our own form."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from segspade_core import shipped
from segspade_core.config import GeneratorArchitecture, GeneratorImportConfig
from segspade_core.errors import WeightsError
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.importing import import_generator
from segspade_core.spade.published import infer_architecture
from segspade_core.spade.style import StyleEncoder
from segspade_core.spade.weights import load_generator, load_style_encoder, pack_generator

TINY = GeneratorArchitecture(width=2, max_channels=1024, hidden=3, upsamplings=6)
STYLED = TINY.model_copy(update={"style_dim": 4, "style_width": 2, "cities": ("aachen", "ulm")})
LINEAR = TINY.model_copy(update={"style_dim": 4, "linear_head": (2, 2)})


def network(architecture: GeneratorArchitecture = TINY) -> SpadeGenerator:
    torch.manual_seed(0)
    return SpadeGenerator(architecture).eval()


def saved(tmp_path: Path, entries: dict[str, Any], **settings: Any) -> GeneratorImportConfig:
    torch.save(entries, tmp_path / "latest_net_G.pth")
    return GeneratorImportConfig(weights=str(tmp_path / "latest_net_G.pth"), **settings)


def test_a_published_checkpoint_comes_in(tmp_path: Path) -> None:
    generator = network()
    entries = {
        f"module.{name}": tensor
        for name, tensor in generator.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    config = saved(tmp_path, entries)
    content, about = import_generator(config)
    assert about == {
        "source": "latest_net_G.pth",
        "sha256": hashlib.sha256(Path(config.weights).read_bytes()).hexdigest(),
        "parameters": sum(parameter.numel() for parameter in generator.parameters()),
        "variant": "plain",
        "architecture": TINY.model_dump(mode="json"),
        # its width is not the published one, so it is of someone's own
        "assumed": {"instance_edges": True, "upsamplings": 6},
        "style_encoder": False,
    }
    assert json.loads(json.dumps(about)) == about
    loaded = load_generator(content)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_what_shapes_leave_open_can_be_told(tmp_path: Path) -> None:
    settings = {"instance_edges": False, "upsamplings": 5}
    content, about = import_generator(saved(tmp_path, network().state_dict(), **settings))
    architecture = load_generator(content).architecture
    assert (architecture.num_labels, architecture.instance_edges, architecture.upsamplings) == (36, False, 5)
    assert about["assumed"] == {}


@pytest.mark.parametrize(
    "settings",
    [
        {"num_labels": 35, "instance_edges": True, "upsamplings": 6},
        {"num_labels": 183, "instance_edges": True, "upsamplings": 5},
        {"num_labels": 151, "instance_edges": False, "upsamplings": 5},
    ],
    ids=["Cityscapes", "COCO-Stuff", "ADE20K"],
)
def test_the_published_networks_leave_nothing_open(settings: dict[str, Any]) -> None:
    """Fault: whoever imports one of them is told to doubt it."""
    architecture = GeneratorArchitecture(**settings)
    with torch.device("meta"):
        entries = SpadeGenerator(architecture).state_dict()
    assert infer_architecture(entries, "x") == (architecture, {})
    otherwise = 11 - architecture.upsamplings
    _, assumed = infer_architecture(entries, "x", upsamplings=otherwise)
    assert assumed == {"instance_edges": architecture.instance_edges}


def test_the_variant_with_a_style_encoder_comes_in(tmp_path: Path) -> None:
    generator = network(LINEAR)
    content, about = import_generator(saved(tmp_path, generator.state_dict()))
    assert about["variant"] == "vae"
    assert about["assumed"]["linear_head"] == (2, 2)
    loaded = load_generator(content)
    assert loaded.architecture == LINEAR
    assert load_style_encoder(content) is None
    torch.testing.assert_close(
        loaded.state_dict()["fc.weight"], generator.state_dict()["fc.weight"], atol=0, rtol=0
    )


def test_our_own_file_comes_in_as_it_is(tmp_path: Path) -> None:
    """Fault: the style encoder is lost on the way, or taken for entries that have no place."""
    torch.manual_seed(0)
    content = pack_generator(network(STYLED), style_encoder=StyleEncoder(STYLED))
    (tmp_path / "model.safetensors").write_bytes(content)
    config = GeneratorImportConfig(weights=str(tmp_path / "model.safetensors"))
    imported, about = import_generator(config)
    assert imported == content
    assert (about["variant"], about["style_encoder"], about["assumed"]) == ("coded", True, {})
    with pytest.raises(
        WeightsError, match=r"its metadata tells the architecture; leave instance_edges, upsamp"
    ):
        import_generator(config.model_copy(update={"instance_edges": False}))


def test_a_state_dict_of_ours_needs_its_architecture(tmp_path: Path) -> None:
    """Names of cities are in no tensor."""
    generator = network(STYLED)
    with pytest.raises(
        WeightsError, match=r"entry '.*code.*' of shape .* has no place in a SPADE generator of 35 labels"
    ):
        import_generator(saved(tmp_path, generator.state_dict()))
    content, about = import_generator(saved(tmp_path, generator.state_dict(), generator=STYLED))
    assert load_generator(content).architecture == STYLED
    assert about["variant"] == "coded"


def test_an_architecture_that_is_given_counts(tmp_path: Path) -> None:
    wrong = TINY.model_copy(update={"hidden": 4})
    with pytest.raises(
        WeightsError,
        match=r"mlp_shared\.0\.weight' has shape 3x36x3x3, the network wants 4x36x3x3; if the file",
    ):
        import_generator(saved(tmp_path, network().state_dict(), generator=wrong))


def test_a_setting_is_given_once() -> None:
    with pytest.raises(ValidationError, match=r"instance_edges is part of generator\.instance_edges already"):
        GeneratorImportConfig(instance_edges=False, generator=TINY)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    """Fault: weights_only=False on this way in. Other ways to plant it are tested with load_published."""

    class Bad:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    with pytest.raises(WeightsError, match=r"latest_net_G\.pth: not a plain checkpoint of tensors: it holds"):
        import_generator(saved(tmp_path, {**network().state_dict(), "bad": Bad()}))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "up_1.conv_0.weight_u",
            0.0,
            r"'up_1\.conv_0\.weight_u' makes the spectral norm .* -?0, and its weight",
        ),
        (
            "up_0.norm_0.param_free_norm.running_var",
            -1.0,
            r"running_var' holds a variance below 0, -1, of whi",
        ),
    ],
)
@pytest.mark.parametrize("ours", [False, True])
def test_weights_that_can_only_paint_nan_are_refused(
    name: str, change: float, message: str, ours: bool, tmp_path: Path
) -> None:
    """Fault: they come in, and every picture of a run is of one colour."""
    generator = network()
    generator.state_dict()[name].mul_(change)
    config = saved(tmp_path, generator.state_dict())
    if ours:
        Path(config.weights).write_bytes(pack_generator(generator))
    with pytest.raises(WeightsError, match=rf"latest_net_G\.pth: entry .*{message}"):
        import_generator(config)


def test_a_missing_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"nowhere\.pth: cannot be read \(No such file .* 'shipped:minicity'$"
    ):
        import_generator(GeneratorImportConfig(weights=str(tmp_path / "nowhere.pth")))


def test_shipped_weights_come_with_their_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "minicity.safetensors").write_bytes(pack_generator(network(), half=True))
    (tmp_path / "minicity.json").write_text(json.dumps({"seconds": 3600}))
    monkeypatch.setattr(shipped.resources, "files", lambda package: tmp_path)
    content, about = import_generator(GeneratorImportConfig())
    assert about["manifest"] == {"seconds": 3600}
    assert about["source"] == "shipped:minicity"
    assert load_generator(content).architecture == TINY


def test_weights_that_are_not_shipped_say_what_to_do() -> None:
    with pytest.raises(WeightsError, match=r"^shipped:atlantis: no such weights .*minicity-generator\.yaml"):
        import_generator(GeneratorImportConfig(weights="shipped:atlantis"))
    with pytest.raises(WeightsError, match="no such weights"):
        shipped.shipped_weights("../secret")
