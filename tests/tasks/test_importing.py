"""An imported generator is known by the content of its weights, and refused early when it does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from segspade_core.config import GeneratorArchitecture, GeneratorImportConfig
from segspade_core.errors import InputError, WeightsError
from segspade_core.spade import SpadeGenerator, load_generator, pack_generator
from storage.refs import ArtifactRef
from tasks import importing
from tasks.importing import check_fits, import_weights, plan_import
from tasks.inputs import generator_weights
from tasks.stage import commit, making

TINY = GeneratorArchitecture(width=2, max_channels=4, hidden=3, upsamplings=4)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(pack_generator(SpadeGenerator(TINY)))
    return path


def test_the_key_knows_the_content_and_not_the_name(workspace: Path, weights: Path) -> None:
    first = plan_import(workspace, GeneratorImportConfig(weights=str(weights)))
    moved = weights.rename(weights.with_name("renamed.safetensors"))
    assert plan_import(workspace, GeneratorImportConfig(weights=str(moved))).key == first.key
    moved.write_bytes(pack_generator(SpadeGenerator(TINY)))
    assert plan_import(workspace, GeneratorImportConfig(weights=str(moved))).key != first.key


def test_a_file_that_is_not_there_is_named(workspace: Path) -> None:
    with pytest.raises(
        InputError, match=r"^weights/latest_net_G\.pth: no such file; .* train one|kind: train"
    ):
        plan_import(workspace, GeneratorImportConfig(weights="weights/latest_net_G.pth"))


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r": is a folder; give the file of weights in it, such as latest_net_G"
    ):
        generator_weights(str(tmp_path))


def _import(workspace: Path, config: GeneratorImportConfig) -> tuple[ArtifactRef, dict[str, Any], bytes]:
    """The artifact, its about.json, and its weights."""
    plan = plan_import(workspace, config)
    with making(plan) as work:
        ref = commit.fn(plan, work, **import_weights.fn(plan)).ref
    folder = plan.store.path(ref)
    return ref, json.loads((folder / "about.json").read_text()), (folder / "model.safetensors").read_bytes()


def test_a_published_file_becomes_an_artifact(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: what its shapes leave open is assumed in silence, or asked about where it was told."""
    told: list[str] = []
    monkeypatch.setattr(importing, "tell", told.append)
    network = SpadeGenerator(TINY.model_copy(update={"upsamplings": 6}))
    path = tmp_path / "latest_net_G.pth"
    torch.save({f"module.{name}": entry for name, entry in network.state_dict().items()}, path)
    first, about, content = _import(workspace, GeneratorImportConfig(weights=str(path)))
    assert (about["variant"], about["architecture"]["width"], about["style_encoder"]) == ("plain", 2, False)
    assert about["assumed"] == {"instance_edges": True, "upsamplings": 6}
    assert told == [
        "latest_net_G.pth: its shapes leave open what is taken as instance_edges true, upsamplings 6; if it "
        "was trained otherwise, say so in the settings of the import: --set instance_edges=… "
        "--set upsamplings=…"
    ]
    for (name, entry), found in zip(
        network.state_dict().items(), load_generator(content).state_dict().values(), strict=True
    ):
        assert torch.equal(entry, found), name

    config = GeneratorImportConfig(weights=str(path), instance_edges=False, upsamplings=5)
    second, about, _ = _import(workspace, config)
    assert second != first
    assert (about["architecture"]["num_labels"], about["architecture"]["upsamplings"]) == (36, 5)
    assert len(told) == 1


def test_a_file_that_does_not_fit_leaves_nothing(workspace: Path, tmp_path: Path) -> None:
    entries = {**SpadeGenerator(TINY).state_dict(), "up_1.conv_0.bias": torch.zeros(7)}
    torch.save(entries, tmp_path / "wrong.pth")
    with pytest.raises(WeightsError, match=r"'up_1\.conv_0\.bias' has shape 7, the network wants 4; "):
        _import(workspace, GeneratorImportConfig(weights=str(tmp_path / "wrong.pth")))
    assert [path for path in workspace.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_sizes_that_do_not_suit_are_refused_before_anything_is_made(workspace: Path, weights: Path) -> None:
    ref, about, _ = _import(workspace, GeneratorImportConfig(weights=str(weights)))
    assert about["source"] == "tiny.safetensors"
    check_fits(workspace, ref, (64, 96))
    with pytest.raises(
        InputError,
        match=r"^ingest\.size 64x100 does not suit the generator from tiny\.safetensors: both sides must be "
        r"multiples of 16$",
    ):
        check_fits(workspace, ref, (64, 100))


def test_a_generator_that_starts_from_a_style_paints_at_one_size(workspace: Path, tmp_path: Path) -> None:
    architecture = TINY.model_copy(update={"style_dim": 3, "linear_head": (2, 4)})
    (tmp_path / "vae.safetensors").write_bytes(pack_generator(SpadeGenerator(architecture)))
    ref, about, _ = _import(workspace, GeneratorImportConfig(weights=str(tmp_path / "vae.safetensors")))
    assert about["variant"] == "vae"
    check_fits(workspace, ref, (32, 64))
    with pytest.raises(
        InputError,
        match=r"^ingest\.size 64x64 does not suit the generator from vae\.safetensors: it starts from a "
        r"style code, and paints at 32x64 alone$",
    ):
        check_fits(workspace, ref, (64, 64))
    for other in ((32, 128), (64, 32)):
        with pytest.raises(InputError, match="and paints at 32x64 alone"):
            check_fits(workspace, ref, other)
