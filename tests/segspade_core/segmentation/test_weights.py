"""Weights a training starts from, and segmenters as bytes."""

from __future__ import annotations

import hashlib
import io
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from segspade_core.config import SegmenterConfig
from segspade_core.errors import WeightsError
from segspade_core.segmentation import Segmenter, load_segmenter, pack_segmenter
from segspade_core.segmentation.batches import LabelledImages
from segspade_core.segmentation.state import TrainingState
from segspade_core.segmentation.train import _begin
from segspade_core.segmentation.weights import start_from
from segspade_core.training.checkpoint import MemoryCheckpoints, pack_weights

from .conftest import WIDTH, TinyResNet

pytestmark = pytest.mark.usefixtures("tiny_encoder")


def fresh(num_classes: int = 5, seed: int = 0) -> Segmenter:
    torch.manual_seed(seed)
    return Segmenter("resnet18", num_classes)


def saved(path: Path, entries: Any) -> str:
    torch.save(entries, path)
    return str(path)


def assert_same(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


def test_bytes_hold_the_network() -> None:
    """Fault: a layer left on the meta device, or the normalisation, which no file holds."""
    model = fresh(7)
    model.encoder.bn1.running_mean.fill_(0.25)
    loaded = load_segmenter(pack_segmenter(model.to(memory_format=torch.channels_last)))
    assert (loaded.encoder_name, loaded.num_classes, loaded.training) == ("resnet18", 7, False)
    assert_same(loaded, model)
    images = torch.rand(1, 3, 40, 40)
    torch.testing.assert_close(loaded(images), model.eval()(images))
    assert pack_segmenter(loaded) == pack_segmenter(model)


@pytest.mark.parametrize("kind", ["pth", "prefixed pth", "safetensors", "without fc and counters"])
def test_torchvisions_state_dict_fills_the_encoder(tmp_path: Path, kind: str) -> None:
    """Fault: strict=False, which leaves a misnamed encoder as it was drawn and says nothing."""
    torch.manual_seed(5)
    resnet = TinyResNet()
    resnet.bn1.running_var.fill_(3)
    entries = resnet.state_dict()
    if kind == "prefixed pth":
        entries = {f"module.{name}": entry for name, entry in entries.items()}
    elif kind == "without fc and counters":
        entries = {n: e for n, e in entries.items() if not n.startswith("fc.") and "num_batches" not in n}
    path = str(tmp_path / "encoder.safetensors")
    if kind == "safetensors":
        save_file(entries, path)
    else:
        path = saved(tmp_path / "encoder.pth", entries)
    model, head = fresh(), fresh().classifier
    start_from(model, path)
    kept = {name: e for name, e in resnet.state_dict().items() if not name.startswith("fc.")}
    for name, entry in kept.items():
        assert torch.equal(model.encoder.state_dict()[name], entry), name
    assert_same(model.classifier, head)


def test_our_own_file_gives_encoder_and_a_head_that_fits(tmp_path: Path) -> None:
    """Fault: the head of other classes taken, or one that fits left out."""
    trained = fresh(5, seed=1)
    path = tmp_path / "model.safetensors"
    path.write_bytes(pack_segmenter(trained))
    model = fresh(5)
    start_from(model, str(path))
    assert_same(model, trained)
    model = fresh(6)
    start_from(model, str(path))
    assert_same(model.encoder, trained.encoder)
    assert_same(model.classifier, fresh(6).classifier)


def test_none_leaves_the_seeds_own_weights() -> None:
    config = SegmenterConfig(encoder="resnet18", weights="none", seed=4)
    first, again = (TrainingState(config, torch.device("cpu")).model for _ in range(2))
    start_from(first, "none")
    assert_same(first, again)
    other = TrainingState(config.model_copy(update={"seed": 5}), torch.device("cpu")).model
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_what_does_not_fit_is_named_with_its_shapes(tmp_path: Path) -> None:
    """Fault: half an encoder loaded, or an error that names no entry."""
    path = tmp_path / "encoder.pth"
    wide = TinyResNet(WIDTH + 2).state_dict()
    with pytest.raises(
        WeightsError,
        match=r"encoder\.pth: entry 'conv1\.weight' has shape 8x3x3x3, the network wants 6x3x3x3; set seg",
    ):
        start_from(fresh(), saved(path, wide))
    entries = TinyResNet().state_dict()
    del entries["layer3.0.weight"]
    with pytest.raises(
        WeightsError,
        match=r"'layer3\.0\.weight' of shape 6x6x3x3 is missing; is this a torchvision resnet18\?",
    ):
        start_from(fresh(), saved(path, entries))
    entries = {**TinyResNet().state_dict(), "layer4.7.weight": torch.zeros(2)}
    with pytest.raises(WeightsError, match=r"'layer4\.7\.weight' of shape 2 has no place in a torchvision"):
        start_from(fresh(), saved(path, entries))
    entries = TinyResNet().state_dict()
    entries["bn1.running_var"][2] = -3.0
    with pytest.raises(
        WeightsError, match=r"entry 'bn1\.running_var' holds a variance below 0, -3, of which"
    ):
        start_from(fresh(), saved(path, entries))
    entries["bn1.running_var"][0] = float("inf")
    with pytest.raises(WeightsError, match=r"entry 'bn1\.running_var' holds NaN or infinite values"):
        start_from(fresh(), saved(path, entries))


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.pth: cannot be read \(No such file.*'none'"):
        start_from(fresh(), str(tmp_path / "nowhere.pth"))
    (tmp_path / "page.pth").write_text("<html>404: not found</html>")
    with pytest.raises(WeightsError, match=r"page\.pth: is a web page and no weights"):
        start_from(fresh(), str(tmp_path / "page.pth"))
    (tmp_path / "notes.pth").write_text("these are my notes of the training\n")
    with pytest.raises(
        WeightsError,
        match=r"notes\.pth: neither a PyTorch checkpoint nor a safetensors file; give the file to which "
        r"`segmenter\.state_dict\(\)` was saved, by torch\.save or by safetensors$",
    ):
        start_from(fresh(), str(tmp_path / "notes.pth"))
    with pytest.raises(
        WeightsError, match=r"^x: not a safetensors file; give the \.safetensors file of a segmenter$"
    ):
        load_segmenter(b"these are my notes of the training", "x")
    with pytest.raises(
        WeightsError, match=r"run\.pth: holds no state dict of tensors: .*; save `segmenter\.state"
    ):
        start_from(fresh(), saved(tmp_path / "run.pth", {"epoch": 3, "model": TinyResNet().state_dict()}))
    with pytest.raises(WeightsError, match=r"^x: weights of a generator, not of a segmenter"):
        load_segmenter(pack_weights({}, {"kind": "generator"}), "x")
    with pytest.raises(WeightsError, match=r"^x: its metadata names no encoder and number of classes"):
        load_segmenter(pack_weights({"a": torch.zeros(1)}, {}), "x")
    with pytest.raises(WeightsError, match=r"^x: 'vgg' is no encoder this version knows"):
        load_segmenter(pack_weights({}, {"kind": "segmenter", "encoder": "vgg", "num_classes": 3}), "x")
    with pytest.raises(WeightsError, match=r"^x: entry 'encoder\.conv1\.weight' of shape 6x3x3x3 is missing"):
        load_segmenter(pack_weights({}, {"kind": "segmenter", "encoder": "resnet18", "num_classes": 3}), "x")


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    """Fault: weights_only=False, and a stranger's file runs what it likes."""

    class Bad:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    with pytest.raises(WeightsError, match=r"bad\.pth: not a plain checkpoint of tensors"):
        start_from(fresh(), saved(tmp_path / "bad.pth", {"conv1.weight": Bad()}))
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch hub's folder, empty, and a network that would be noticed."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("asked the network"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def imagenet_file(monkeypatch: pytest.MonkeyPatch) -> tuple[str, bytes, TinyResNet]:
    """Name and content of a file that torchvision would publish, if its ResNet were tiny."""
    torch.manual_seed(8)
    resnet, buffer = TinyResNet(), io.BytesIO()
    torch.save(resnet.state_dict(), buffer)
    name = f"resnet18-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"

    class Published:
        url = f"https://download.invalid/models/{name}"

    monkeypatch.setattr("torchvision.models.get_model_weights", lambda _: {"IMAGENET1K_V1": Published})
    return name, buffer.getvalue(), resnet


def test_imagenet_is_taken_from_the_cache(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: TORCH_HOME not looked at, or the network asked although the file is there."""
    name, content, resnet = imagenet_file(monkeypatch)
    hub.mkdir(parents=True)
    (hub / name).write_bytes(content)
    model = fresh()
    start_from(model, "imagenet")
    assert torch.equal(model.encoder.conv1.weight, resnet.conv1.weight)
    (hub / name).write_bytes(content[:-9])
    with pytest.raises(WeightsError, match=rf"{name}: damaged, or another file of this name: .*; remove it"):
        start_from(model, "imagenet")


def test_imagenet_is_downloaded_into_the_cache(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, content, resnet = imagenet_file(monkeypatch)

    def answer(url: str, timeout: float) -> io.BytesIO:
        assert (url, timeout < 60) == (f"https://download.invalid/models/{name}", True)
        return io.BytesIO(content)

    monkeypatch.setattr("urllib.request.urlopen", answer)
    model = fresh()
    start_from(model, "imagenet")
    assert torch.equal(model.encoder.conv1.weight, resnet.conv1.weight)
    assert [file.name for file in hub.iterdir()] == [name]


@pytest.mark.parametrize("fault", [urllib.error.URLError("no route"), TimeoutError("timed out"), "half"])
def test_without_a_network_the_ways_out_are_named(
    hub: Path, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    """Fault: random weights taken in silence, a hang, or half a file left for the next run to trust."""

    class Half(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise ConnectionResetError("reset by peer")
            return super().read(4)

    def fail(url: str, timeout: float) -> io.BytesIO:
        if fault == "half":
            return Half(b"a" * 99)
        raise fault

    monkeypatch.setattr("urllib.request.urlopen", fail)
    model = fresh()
    with pytest.raises(WeightsError) as caught:
        start_from(model, "imagenet")
    message = str(caught.value)
    name = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    assert message.startswith(
        f"imagenet weights of resnet18: https://download.pytorch.org/models/{name} cannot"
    )
    assert f"put it at {hub / name}; or set segmenter.weights to the path" in message
    assert "; or set it to 'none' to train from scratch; or take the encoder efficientnet-lite0" in message
    assert_same(model, fresh())
    assert not list(hub.iterdir())


def test_a_resumed_training_needs_its_first_weights_no_more(hub: Path) -> None:
    """Fault: a run that cannot go on because the network, or the file it began with, is gone."""
    config = SegmenterConfig(encoder="resnet18", weights="imagenet")
    state, store = TrainingState(config, torch.device("cpu")), MemoryCheckpoints()
    store.save("last", state.pack())
    resumed = TrainingState(config.model_copy(update={"seed": 1}), torch.device("cpu"))
    _begin(resumed, store, LabelledImages("train", [], [], config.num_classes))
    assert_same(resumed.model, state.model)
