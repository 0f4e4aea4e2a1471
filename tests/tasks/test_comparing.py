"""Segmenters side by side: looked up where it stands, measured where it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from handmade import commit, maps, photographs
from torch import nn

from segspade_core.config import RuntimeConfig
from segspade_core.errors import InputError
from segspade_core.segmentation import Segmenter
from segspade_core.segmentation.cost import count_macs, count_parameters
from storage.aliases import Aliases
from storage.manifest import Manifest
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import write_table
from tasks.comparing import compare_segmenters

CPU = RuntimeConfig(device="cpu")


@pytest.fixture
def dataset(workspace: Path) -> ArtifactRef:
    splits = {"val": {"image": photographs(1, 2), "label_ids": maps(1, 2)}}
    config = {"layout": "minicity", "size": "16x32"}
    return commit(workspace, "dataset", splits=splits, config=config, counts={"train": 10, "val": 2})


def trained(workspace: Path, dataset: ArtifactRef, name: str, epochs: int = 0) -> ArtifactRef:
    """A segmenter of `epochs` epochs, whose updates are of more images than there are."""

    def write(folder: Path) -> None:
        (folder / "model.safetensors").write_text(name)
        if epochs:
            write_table(folder / "epochs.parquet", pd.DataFrame({"epoch": range(epochs)}))

    return commit(
        workspace, "segmenter", name, write=write, config={"batch": 6, "accumulate": 2}, dataset=dataset
    )


def scored(
    workspace: Path, miou: float, count: int, look: dict[str, Any] | None = None, **inputs: Any
) -> ArtifactRef:
    """Scores of val, of maps that were made with `look`; a `resolution` among the inputs is the config's."""
    config = {"resolution": inputs.pop("resolution", "label")}
    row = {"size": "16x32", "ids": {"miou": miou}, "train_ids": {"miou": miou / 2}}
    summary = {"splits": {"val": {"segmenter": row}}}
    inputs["val.predicted"] = commit(workspace, "label_maps", f"of {miou}", config=look)

    def write(folder: Path) -> None:
        (folder / "scores.json").write_text(json.dumps(summary))

    return commit(workspace, "scores", str(miou), write=write, counts={"val": count}, config=config, **inputs)


class Small(nn.Conv2d):
    """In place of a network: 12 classes, each from the 3x3 pixels around."""

    def __init__(self, head: str) -> None:
        super().__init__(3, 12, 3, padding=1)
        self.encoder_name, self.head_name, self.num_classes = "resnet18", head, 12
        self.label_space = "ids"
        self.untaught = ()


@pytest.fixture
def small_models(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `segmenter_of` gives, by the content of the artifact's file."""
    models = {"one": Small("fcn32"), "two": Small("unet")}

    def load(workspace: Path, ref: ArtifactRef, _runtime: RuntimeConfig) -> Any:
        return models[(Store(workspace).path(ref) / "model.safetensors").read_text()], torch.device("cpu")

    monkeypatch.setattr("tasks.comparing.segmenter_of", load)
    return models


def test_what_stands_in_artifacts_is_looked_up(
    workspace: Path, dataset: ArtifactRef, small_models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: scores of another segmenter, another dataset or fewer frames; rates of updates, not images."""
    one, two = trained(workspace, dataset, "one", epochs=6), trained(workspace, dataset, "two")
    other = commit(workspace, "dataset", "other", config={"layout": "minicity", "size": "32x64"})
    scored(workspace, 0.9, 2, {"flip": True, "scales": [0.5, 1.0]}, dataset=dataset, segmenter=two)
    scored(workspace, 0.5, 2, dataset=dataset, segmenter=one)
    scored(workspace, 0.6, 1, dataset=dataset, segmenter=one)
    scored(workspace, 0.7, 9, dataset=other, segmenter=one)
    Aliases(workspace).set("segmenter", "mine", one.key)
    manifest = Store.manifest

    def with_metrics(self: Store, ref: ArtifactRef) -> Manifest:
        found = manifest(self, ref)
        update = {"metrics": {"val_miou": 0.4}, "seconds": 12.0} if ref == one else {}
        return found.model_copy(update=update)

    monkeypatch.setattr(Store, "manifest", with_metrics)
    found = compare_segmenters(workspace, [two, one, two], CPU, rounds=1)
    assert [each.key for each in found.segmenters] == [two.key, one.key]
    second, first = found.segmenters
    assert (first.names, second.names) == (("mine",), ())
    assert (first.encoder, first.head, second.head) == ("resnet18", "fcn32", "unet")
    assert (first.val_miou, first.scored_miou, first.scored_miou_19) == (0.4, 0.5, 0.25)
    assert (second.val_miou, second.training_images_per_second) == (None, None)
    assert (second.scored_miou, second.scored_at) == (0.9, "16x32, flipped, at scales 0.5, 1")
    assert first.scored_at == "16x32"
    assert first.training_images_per_second == 6 * 10 / 12
    assert first.classes == 12
    assert (first.size, first.dataset) == ("16x32", dataset.key)
    assert (first.parameters, first.macs) == (12 * 3 * 9 + 12, 16 * 32 * 12 * 3 * 9)
    assert found.device == "cpu"


@pytest.mark.usefixtures("small_models")
def test_the_official_score_counts_where_there_is_one(workspace: Path, dataset: ArtifactRef) -> None:
    """Fault: the newest or largest score is taken, of more looks or a smaller size than another's."""
    one = trained(workspace, dataset, "one")
    models = {"dataset": dataset, "segmenter": one}
    scored(workspace, 0.4, 1, **models)
    scored(workspace, 0.7, 2, {"flip": True}, **models)
    scored(workspace, 0.8, 2, {"windows": {"size": "64x64", "overlap": 0.25}}, **models)
    scored(workspace, 0.9, 2, resolution="network", **models)
    (found,) = compare_segmenters(workspace, [one], CPU, rounds=1).segmenters
    assert (found.scored_miou, found.scored_at) == (0.4, "16x32")


@pytest.mark.usefixtures("small_models")
def test_segmenters_take_turns_and_the_median_counts(
    workspace: Path, dataset: ArtifactRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: the first round, in which kernels are chosen, counts; the mean, which one bad moment moves; one
    segmenter measured after the other, while the machine grows busy."""
    refs = [trained(workspace, dataset, name) for name in ("one", "two")]
    clock = [0.0]
    calls: list[Any] = []
    takes = {"fcn32": iter((90, 1, 2, 60)), "unet": iter((90, 4, 4, 4))}

    def predict(model: Any, images: Any, _device: Any) -> None:
        calls.append((model.head_name, images.shape))
        clock[0] += next(takes[model.head_name])

    monkeypatch.setattr("segspade_core.segmentation.predict", predict)
    monkeypatch.setattr("tasks.comparing.time.perf_counter", lambda: clock[0])
    found = compare_segmenters(workspace, refs, CPU, rounds=3)
    assert calls == [(head, (2, 16, 32, 3)) for _ in range(4) for head in ("fcn32", "unet")]
    assert [each.images_per_second for each in found.segmenters] == [2 / 2, 2 / 4]


@pytest.mark.usefixtures("small_models")
def test_a_dataset_that_is_gone_is_named(workspace: Path, dataset: ArtifactRef) -> None:
    one = trained(workspace, dataset, "one")
    Store(workspace).remove(dataset)
    with pytest.raises(InputError, match=rf"^{dataset}, which {one} was trained on, is gone: nobody knows"):
        compare_segmenters(workspace, [one], CPU)


@pytest.mark.parametrize("count", [count_parameters, lambda model: count_macs(model, (64, 96))])
def test_costs_by_hand(count: Callable[[Any], int]) -> None:
    """Golden: ResNet-18 as torchvision has it, without its classifier, and the study's head for 34 classes.

    11,689,512 parameters less the classifier's 513,000, a 1x1 convolution (512 + 1) * 34 and a transposed one
    of 34 * 34 * 64 * 64. At 224x224 torchvision tells 1.814 GMACs, of which the classifier has 0.000512;
    convolutions grow with the pixels. The head sees 2x3: 512 * 34 each; and of the 3x4 cells between and
    around these it makes 32x32 pixels of 34 classes each, from four times 34 scores.
    """
    model = Segmenter("resnet18", 34).eval()
    if count is count_parameters:
        assert count(model) == 11_689_512 - 513_000 + (512 + 1) * 34 + 34 * 34 * 64 * 64
    else:
        backbone = (1_814_073_344 - 512_000) * (64 * 96) / (224 * 224)
        head = 2 * 3 * 512 * 34 + 3 * 4 * (4 * 34) * (34 * 1024)
        assert count(model) == pytest.approx(backbone + head, rel=1e-9)
