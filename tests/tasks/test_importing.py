"""An imported generator is known by the content of its weights, and refused early when it does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segspade_core.config import GeneratorArchitecture, GeneratorImportConfig
from segspade_core.errors import InputError
from segspade_core.spade import Generator, pack_generator
from tasks.importing import check_fits, import_weights, plan_import
from tasks.stage import commit, making

TINY = GeneratorArchitecture(width=2, max_channels=4, hidden=3, upsamplings=4)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(pack_generator(Generator(TINY)))
    return path


def test_the_key_knows_the_content_and_not_the_name(workspace: Path, weights: Path) -> None:
    first = plan_import(workspace, GeneratorImportConfig(weights=str(weights)))
    moved = weights.rename(weights.with_name("renamed.safetensors"))
    assert plan_import(workspace, GeneratorImportConfig(weights=str(moved))).key == first.key
    moved.write_bytes(pack_generator(Generator(TINY)))
    assert plan_import(workspace, GeneratorImportConfig(weights=str(moved))).key != first.key


def test_a_file_that_is_not_there_is_named(workspace: Path) -> None:
    with pytest.raises(
        InputError, match=r"^weights/latest_net_G\.pth: no such file; .* train one|kind: train"
    ):
        plan_import(workspace, GeneratorImportConfig(weights="weights/latest_net_G.pth"))


def test_sizes_that_do_not_suit_are_refused_before_anything_is_made(workspace: Path, weights: Path) -> None:
    plan = plan_import(workspace, GeneratorImportConfig(weights=str(weights)))
    with making(plan) as work:
        ref = commit.fn(plan, work, **import_weights.fn(plan)).ref
    about: dict[str, Any] = json.loads((plan.store.path(ref) / "about.json").read_text())
    assert about["source"] == "tiny.safetensors"
    check_fits(workspace, ref, (64, 96))
    with pytest.raises(
        InputError,
        match=r"^ingest\.size 64x100 does not suit the generator from tiny\.safetensors: both sides must be "
        r"multiples of 16$",
    ):
        check_fits(workspace, ref, (64, 100))
