"""A workspace with a whole journey in it, made by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pandas as pd
import pytest
from handmade import commit, instances, maps, photographs, predictions, run_parts_here, tiny_segmenter

from storage.refs import ArtifactRef
from storage.tables import write_table
from tasks.scoring import SplitJourney

COUNTS = {"train": 18, "test": 3}
ABOUT = {
    "source": "shipped:minicity",
    "parameters": 1234567,
    "architecture": {"upsamplings": 4},
    "manifest": {"config": {"epochs": 40}, "counts": {"train": 1024}, "seconds": 7200.0, "device": "cpu"},
}


@dataclass
class HandMade:
    """A train split with labels, in two shards, and a test split without; limited to 18 of 20, and 3."""

    workspace: Path
    journeys: list[SplitJourney] = field(default_factory=list)
    arrays: dict[tuple[str, str], Any] = field(default_factory=dict)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """That bytes are on the disk is tested with storage; here it would take most of the time."""
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Torch hub's cache is empty, and whoever asks the network is told that there is none."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def refuse(url: str, timeout: float) -> None:
        raise URLError(f"no network in tests: {url}")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def hand_made(workspace: Path) -> HandMade:
    made = HandMade(workspace)
    train = {"image": photographs(1, 20), "label_ids": maps(2, 20), "instance_ids": instances(maps(2, 20))}
    dataset = commit(
        workspace,
        "dataset",
        splits={"train": train, "test": {"image": photographs(3, 3)}},
        config={"layout": "minicity", "size": "16x32"},
        counts={"train": 20, "test": 3},
    )
    segmenter = commit(
        workspace,
        "segmenter",
        write=_training,
        config={"encoder": "resnet18", "weights": "none", "epochs": 2, "batch": 2, "seed": 0},
        dataset=dataset,
    )
    generator = commit(
        workspace,
        "generator",
        write=lambda folder: (folder / "about.json").write_text(json.dumps(ABOUT)) and None,
        stage="import-generator",
        config={"weights": "shipped:minicity"},
    )
    models = {"dataset": dataset, "segmenter": segmenter, "generator": generator}
    made.arrays["train", "true"], made.arrays["train", "photo"] = train["label_ids"], train["image"]
    made.arrays["train", "instances"] = train["instance_ids"]
    made.arrays["train", "confidence"] = photographs(4, 18)[..., 0]
    for at, (split, count) in enumerate(COUNTS.items()):
        refs: dict[str, ArtifactRef] = {}
        for number, name in enumerate(("predicted", "cycle", "resegmented")):
            made.arrays[split, name] = predictions(10 * at + number + 5, count)
            arrays = {"label_ids": made.arrays[split, name]}
            if (split, name) == ("train", "predicted"):
                arrays["confidence"] = made.arrays["train", "confidence"]
            refs[name] = commit(workspace, "label_maps", f"{split} {name}", {split: arrays})
        for number, name in enumerate(("painted_predicted", "painted_true")):
            made.arrays[split, name] = photographs(10 * at + number + 50, count)
            refs[name] = commit(
                workspace, "images", f"{split} {name}", {split: {"image": made.arrays[split, name]}}
            )
        if split == "test":
            del refs["painted_true"], refs["resegmented"]
        made.journeys.append(SplitJourney.model_validate({"split": split, **models, **refs}))
    return made


@pytest.fixture
def parts_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Prefect: the parts of every stage run in this thread; and whoever looks at paintings is small."""
    for name in ("scoring", "ingesting", "drawing", "segmenting", "synthesizing"):
        monkeypatch.setattr(f"tasks.{name}.map_parts", run_parts_here)
    segmenter = tiny_segmenter()
    monkeypatch.setattr("tasks.judges.segmenter_of", lambda *_: segmenter)


def _training(folder: Path) -> None:
    steps = [
        {"epoch": epoch, "step": step, "loss": 1.0 / (epoch + step)} for epoch in (1, 2) for step in (1, 2)
    ]
    write_table(folder / "steps.parquet", pd.DataFrame(steps))
    write_table(folder / "epochs.parquet", pd.DataFrame([{"epoch": 1, "val_loss": 1.0, "val_miou": 0.1}] * 2))
