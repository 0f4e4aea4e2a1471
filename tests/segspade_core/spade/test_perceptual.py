"""The perceptual loss, against VGG-19 written out, and the weights it starts from."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from segspade_core.errors import InputError, WeightsError
from segspade_core.spade.perceptual import PerceptualLoss, perceptual_network, vgg19_problem

# number in torchvision's `features` of every convolution up to conv5_1, and its channels
# (Simonyan and Zisserman, ICLR 2015, table 1, column E); None is a pooling
CONVOLUTIONS = [
    (0, 3, 64), (2, 64, 64), None,
    (5, 64, 128), (7, 128, 128), None,
    (10, 128, 256), (12, 256, 256), (14, 256, 256), (16, 256, 256), None,
    (19, 256, 512), (21, 512, 512), (23, 512, 512), (25, 512, 512), None,
    (28, 512, 512),
]  # fmt: skip
WEIGHTS = {0: 1 / 32, 5: 1 / 16, 10: 1 / 8, 19: 1 / 4, 28: 1.0}  # first convolution of each size


@pytest.fixture(scope="module")
def entries() -> dict[str, Tensor]:
    """Random, of a size that keeps the signal's; with what else torchvision's file holds, in small."""
    torch.manual_seed(0)
    made = {"classifier.0.weight": torch.zeros(2), "features.34.bias": torch.zeros(3)}
    for layer in CONVOLUTIONS:
        if layer is not None:
            number, channels_in, channels_out = layer
            scale = (2 / (9 * channels_in)) ** 0.5
            made[f"features.{number}.weight"] = torch.randn(channels_out, channels_in, 3, 3) * scale
            made[f"features.{number}.bias"] = torch.randn(channels_out) * 0.1
    return made


def written_out(fake: Tensor, real: Tensor, entries: dict[str, Tensor]) -> Tensor:
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    a, b = (((images + 1) / 2 - mean) / deviation for images in (fake, real))
    loss = torch.zeros(())
    for layer in CONVOLUTIONS:
        if layer is None:
            a, b = (F.max_pool2d(x, 2) for x in (a, b))
            continue
        weight, bias = (entries[f"features.{layer[0]}.{part}"] for part in ("weight", "bias"))
        a, b = (F.relu(F.conv2d(x, weight, bias, padding=1)) for x in (a, b))
        if layer[0] in WEIGHTS:
            loss = loss + WEIGHTS[layer[0]] * (a - b).abs().mean()
    return loss


def pictures(size: tuple[int, int] = (32, 40)) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    fake, real = torch.rand(2, 2, 3, *size) * 2 - 1
    return fake.requires_grad_(), real.requires_grad_()


def test_is_vgg_19_written_out(entries: dict[str, Tensor]) -> None:
    """Fault: a layer off, before its ReLU, weights in reverse, squares, pictures taken as they are."""
    loss, (fake, real) = PerceptualLoss(entries, "test"), pictures()
    computed = loss(fake, real)
    assert computed.shape == ()
    torch.testing.assert_close(computed, written_out(fake, real, entries))
    assert loss(fake, fake).item() == 0
    (expected,) = torch.autograd.grad(written_out(fake, real.detach(), entries), [fake])
    computed.backward()
    torch.testing.assert_close(fake.grad, expected, rtol=1e-3, atol=1e-7)
    assert real.grad is None


def test_nothing_of_it_is_trained_or_saved_or_idle(entries: dict[str, Tensor]) -> None:
    """Fault: 500 MB of classifier; weights in checkpoints; weights that a .to leaves behind."""
    loss = PerceptualLoss(entries, "test")
    assert not loss.state_dict()
    assert not list(loss.parameters())
    held = loss.layers.network
    assert sum(parameter.numel() for parameter in held.parameters()) == 12_944_960  # up to conv5_1
    assert not any(parameter.requires_grad for parameter in held.parameters())
    loss.to(torch.float64)
    fake, real = pictures((16, 16))
    assert loss(fake.double(), real.double()).dtype == torch.float32
    assert {parameter.dtype for parameter in held.parameters()} == {torch.float64}


def test_bf16_leaves_the_differences_in_float32(entries: dict[str, Tensor]) -> None:
    """Fault: a mean of thousands of bf16 numbers, of 8 bits each."""
    loss, (fake, real) = PerceptualLoss(entries, "test"), pictures()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        computed = loss(fake, real)
    assert computed.dtype == torch.float32
    assert computed.item() == pytest.approx(written_out(fake, real, entries).item(), rel=0.02)


@pytest.mark.parametrize("kind", ["pth", "prefixed pth", "safetensors"])
def test_files_of_weights(entries: dict[str, Tensor], tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"vgg.{kind.split()[-1]}"
    if kind == "safetensors":
        save_file(entries, path)
    else:
        prefix = "module." if kind == "prefixed pth" else ""
        torch.save({prefix + name: entry for name, entry in entries.items()}, path)
    loss = perceptual_network(str(path))
    assert loss is not None
    weight = dict(loss.layers.network.named_parameters())["28.weight"]
    assert torch.equal(weight, entries["features.28.weight"])


def test_what_cannot_be_had_is_named(entries: dict[str, Tensor], tmp_path: Path) -> None:
    assert perceptual_network("none") is None
    with pytest.raises(
        InputError, match=r"^generator\.perceptual_weights 'auto' is settled when a training is pl"
    ):
        perceptual_network("auto")
    with pytest.raises(
        WeightsError, match=r"nowhere\.pth: cannot be read .*; set generator\.perceptual_weights to"
    ):
        perceptual_network(str(tmp_path / "nowhere.pth"))
    path = tmp_path / "short.pth"
    torch.save({name: entry for name, entry in entries.items() if name != "features.16.bias"}, path)
    with pytest.raises(
        WeightsError, match=r"'features\.16\.bias' of shape 256 is missing; is this a torchvision v"
    ):
        perceptual_network(str(path))
    wide = {**entries, "features.0.weight": torch.zeros(64, 4, 3, 3)}
    with pytest.raises(
        WeightsError, match=r"^x: entry 'features\.0\.weight' has shape 64x4x3x3, the network wants"
    ):
        PerceptualLoss(wide, "x")


def test_imagenet_comes_from_the_cache_or_says_why_not(
    entries: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: 'auto' that takes a broken download, or asks the network though the file is there."""
    buffer = io.BytesIO()
    torch.save(entries, buffer)
    name = f"vgg19-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    asked = []

    class Published:
        url = f"https://download.invalid/models/{name}"

    def weights_of(network: str) -> dict[str, type[Published]]:
        asked.append(network)
        return {"IMAGENET1K_V1": Published}

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torchvision.models.get_model_weights", weights_of)
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    problem = vgg19_problem()
    assert problem is not None
    assert problem.startswith("imagenet weights of vgg19: https://download.invalid/models/vgg19-")
    assert "no route to host" in problem
    assert "generator.perceptual_weights" in problem
    assert "segmenter" not in problem
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        perceptual_network("imagenet")
    cached = tmp_path / "hub" / "checkpoints" / name
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(buffer.getvalue()[:-1])
    assert "damaged" in str(vgg19_problem())
    cached.write_bytes(buffer.getvalue())
    assert vgg19_problem() is None
    loss = perceptual_network("imagenet")
    assert loss is not None
    assert torch.equal(dict(loss.layers.network.named_parameters())["0.bias"], entries["features.0.bias"])
    assert set(asked) == {"vgg19"}
