"""Segmenting a split as it is asked for, under keys that stay what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from handmade import commit, photographs
from torch import nn

from segspade_core.config import LookConfig, SegmentConfig, WindowsConfig
from segspade_core.segmentation import predict
from storage.arrays import open_split
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table
from tasks.segmenting import REVISION, plan_segment, segment
from tasks.splits import read_losses
from tasks.stage import commit as commit_stage
from tasks.stage import making

SEGMENTER = ArtifactRef(kind="segmenter", key="0" * 16)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What stands for every segmenter: no network at 1/32 tells such small photographs apart."""
    torch.manual_seed(0)
    model: Any = nn.Conv2d(3, 12, 3, padding=1)
    model.label_space = "ids"
    model.untaught = ()
    monkeypatch.setattr("tasks.segmenting.segmenter_of", lambda *_: (model, torch.device("cpu")))
    return model


@pytest.mark.usefixtures("parts_run_here")
def test_how_it_looks_reaches_the_label_maps(workspace: Path, model: Any) -> None:
    """Fault: settings that enter the key and change nothing."""
    images = photographs(1, 18)
    dataset = commit(workspace, "dataset", splits={"val": {"image": images}})
    made = {}
    for asked in (
        {},
        {"flip": True, "scales": (0.5, 1.0), "windows": WindowsConfig(size="32x32", overlap=0)},
    ):
        given: dict[str, Any] = dict(asked)
        plan = plan_segment(workspace, SEGMENTER, dataset, SegmentConfig(split="val", **given))
        with making(plan):
            segment(plan)
            made[len(asked)] = np.asarray(open_split(plan.staging / "val.zarr")["label_ids"][:])
        np.testing.assert_array_equal(made[len(asked)], predict(model, images, look=LookConfig(**given)))
    assert (made[0] != made[3]).any()


@pytest.mark.usefixtures("parts_run_here")
def test_confidence_is_kept_beside_the_maps_it_is_of(workspace: Path, model: Any) -> None:
    """Fault: confidences of another shard, kept unasked, or not among what is committed."""
    images = photographs(1, 18)
    dataset = commit(workspace, "dataset", splits={"val": {"image": images}})
    plan = plan_segment(workspace, SEGMENTER, dataset, SegmentConfig(split="val", confidence=True))
    with making(plan):
        segment(plan)
        arrays = open_split(plan.staging / "val.zarr")
        wanted = np.empty((18, *images.shape[1:3]), np.uint8)
        predict(model, images, confidence=wanted)
        np.testing.assert_array_equal(arrays["confidence"][:], wanted)
    plain = plan_segment(workspace, SEGMENTER, dataset, SegmentConfig(split="val"))
    assert plain.key != plan.key
    with making(plain):
        segment(plain)
        assert set(open_split(plain.staging / "val.zarr")) == {"label_ids"}


@pytest.mark.usefixtures("parts_run_here")
def test_how_wrong_each_photograph_is_is_kept_where_the_truth_is_known(workspace: Path, model: Any) -> None:
    """Faults: losses of another shard, of another row, or in the artifact of photographs without a truth."""
    images = photographs(1, 18)
    true_maps = np.random.default_rng(0).integers(7, 12, images.shape[:3]).astype(np.uint8)
    true_maps[17] = 0  # void
    known = commit(workspace, "dataset", "k", splits={"val": {"image": images, "label_ids": true_maps}})
    unknown = commit(workspace, "dataset", "u", splits={"val": {"image": images}})
    plan = plan_segment(workspace, SEGMENTER, known, SegmentConfig(split="val"))
    with making(plan) as work:
        made = commit_stage.fn(plan, work, **segment(plan)).ref
    wanted = np.empty(18)
    predict(model, images, true_maps=true_maps, losses=wanted)
    found = read_losses(workspace, made, "val")
    assert found[:17] == wanted[:17].tolist()
    assert len(set(found)) == 18
    assert found[17] is None
    assert read_table(Store(workspace).path(made) / "val.losses.parquet")["id"].tolist() == [
        f"val{row:03}" for row in range(18)
    ]
    assert not list(Store(workspace).path(made).rglob("*.losses"))
    plan = plan_segment(workspace, SEGMENTER, unknown, SegmentConfig(split="val"))
    with making(plan):
        segment(plan)
        assert not list(plan.staging.rglob("*losses*"))


def test_label_maps_keep_the_keys_from_before_there_was_a_choice(workspace: Path) -> None:
    """Golden: the settings of old, and no others."""
    dataset = ArtifactRef(kind="dataset", key="1" * 16)
    inputs = {"segmenter": str(SEGMENTER), "images": str(dataset)}
    plan = plan_segment(workspace, SEGMENTER, dataset, SegmentConfig(split="val"))
    assert plan.key == artifact_key("segment", REVISION, {"split": "val", "limit": None}, inputs)
    other = plan_segment(workspace, SEGMENTER, dataset, SegmentConfig(split="val", flip=True))
    assert other.key != plan.key


@pytest.mark.usefixtures("parts_run_here")
def test_windows_that_hold_the_whole_photograph_are_told(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Fault: whoever asked for windows believes that there were some."""
    monkeypatch.setattr("tasks.segmenting.map_parts", lambda *_: [])
    dataset = commit(workspace, "dataset", splits={"val": {"image": photographs(1, 2)}})
    for size, told in (("32x64", True), ("64x96", True), ("32x96", False), ("64x64", False)):
        config = SegmentConfig(split="val", windows=WindowsConfig(size=size, overlap=0))
        plan = plan_segment(workspace, SEGMENTER, dataset, config)
        height, width = (16, 32) if size == "32x64" else (64, 96)
        pixels = np.empty((2, height, width, 3), np.uint8)
        monkeypatch.setattr("tasks.segmenting.open_input", lambda *_, found=pixels: {"image": found})
        with making(plan):
            segment(plan)
        line = f"windows of {size} hold a whole photograph, {height}x{width}: each is seen at once"
        assert (line in capfd.readouterr().err) == told
