"""Looks at painted images: what is compared with what, and what the scores say beside their numbers."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_fidelity import feature_extractor_inceptionv3 as fidelity

from segspade_core.config import QualityConfig
from segspade_core.errors import WeightsError
from segspade_core.metrics.distances import frechet_distance, kernel_distance
from segspade_core.metrics.inception import inception_features, load_inception
from segspade_core.metrics.painting import Judges, Looks, look
from segspade_core.metrics.painting_summary import summarise_painting
from segspade_core.segmentation.features import encoder_features
from segspade_core.segmentation.model import Segmenter

CPU = torch.device("cpu")
NONE = QualityConfig(inception="none", lpips="none")
BY_ALL = QualityConfig(inception="sha256:6726825d00", lpips="sha256:1111111122")
SIZE = (32, 48)


class TinyEncoder(nn.Sequential):
    """The parts of a ResNet's encoder, each the least that halves the size at the right places."""

    def __init__(self) -> None:
        super().__init__()
        strides = {"conv1": 2, "layer1": 2, "layer2": 2, "layer3": 2, "layer4": 2}
        channels = 3
        for name, stride in strides.items():
            self.add_module(name, nn.Conv2d(channels, 6, 3, stride=stride, padding=1))
            channels = 6
            if name == "conv1":
                self.add_module("relu", nn.ReLU())


@pytest.fixture(scope="module")
def judges() -> Judges:
    torch.manual_seed(0)
    segmenter = Segmenter("resnet18", 2)
    segmenter.encoder = TinyEncoder()

    class Eye(nn.Module):
        """For Inception: the mean colour of an image."""

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
            assert images.dtype == torch.uint8
            return (nn.functional.adaptive_avg_pool2d(images.float(), 1).flatten(1),)

    class Lpips(nn.Module):
        def forward(self, first: torch.Tensor, second: torch.Tensor, normalize: bool) -> torch.Tensor:
            assert normalize
            assert first.max() <= 1
            return (first - second).abs().mean()

    return Judges(segmenter.eval(), CPU, Eye(), Lpips())


def images(seed: int, count: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


def ids(count: int, start: int = 0) -> list[str]:
    return [f"a{at:03}" for at in range(start, start + count)]


def looks_of(judges: Judges, cut: tuple[int, ...] = (5,)) -> Looks:
    photographs, true, predicted = images(1), images(2), images(3)
    predicted[4] = photographs[4]
    parts, start = [], 0
    for stop in cut:
        paintings: Any = {"painted_true": true[start:stop], "painted_predicted": predicted[start:stop]}
        parts.append(look("val", ids(stop - start, start), photographs[start:stop], paintings, judges))
        start = stop
    return Looks.sum(parts)


def test_the_features_are_those_of_the_network_s_own_pass(judges: Judges) -> None:
    """Fault: another normalisation than in segmenting, a layer left out, or one overwritten by the next."""
    batch = torch.rand(2, 3, 32, 64)
    maps = encoder_features(judges.segmenter, batch)
    assert [tuple(layer.shape[2:]) for layer in maps] == [(16, 32), (8, 16), (4, 8), (2, 4), (1, 2)]
    assert float(maps[0].min()) >= 0
    judges.segmenter.classifier = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        torch.testing.assert_close(maps[-1], judges.segmenter.scores(batch))


def test_a_real_resnet_has_five_maps() -> None:
    """Fault: in-place layers that overwrite what was kept."""
    torch.manual_seed(1)
    model = Segmenter("resnet18", 2).eval()
    batch = torch.rand(1, 3, 64, 64)
    maps = encoder_features(model, batch)
    assert [layer.shape[1] for layer in maps] == [64, 64, 128, 256, 512]
    x = (batch - model.mean) / model.std
    with torch.no_grad():
        for name, part in model.encoder.named_children():
            x = part(x.clone())
            if name == "relu":
                torch.testing.assert_close(maps[0], x)
        torch.testing.assert_close(maps[-1], x)


def test_shards_add_to_what_one_look_sees(judges: Judges) -> None:
    """Fault: means of shards averaged, samples out of order, or features that depend on their neighbours."""
    whole, parts = looks_of(judges), looks_of(judges, (2, 3, 5))
    assert whole.pairs == parts.pairs
    assert whole.features.keys() == parts.features.keys()
    for at, rows in whole.features.items():
        np.testing.assert_array_equal(rows, parts.features[at], err_msg=str(at))


def test_looks_survive_their_file(judges: Judges) -> None:
    looks = looks_of(judges)
    again = Looks.from_bytes(looks.to_bytes())
    assert again.pairs == looks.pairs
    assert all((again.features[at] == rows).all() for at, rows in looks.features.items())
    assert again.to_bytes() == looks.to_bytes()


def test_every_score_is_of_the_right_two(judges: Judges) -> None:
    """Fault: paintings exchanged, or a painting compared with the other one instead of the photograph."""
    looks = looks_of(judges)
    scores = summarise_painting(looks, BY_ALL, SIZE, "segmenter/abc")
    photographs, true, predicted = images(1), images(2), images(3)
    predicted[4] = photographs[4]
    eye = judges.inception
    assert eye is not None
    real = inception_features(eye, photographs, CPU)
    for painting, painted in (("painted_true", true), ("painted_predicted", predicted)):
        found = scores.summary["val"][painting]["scores"]
        own = inception_features(eye, painted, CPU)
        assert found["fid"]["value"] == pytest.approx(frechet_distance(real, own))
        assert found["kid"]["value"] == pytest.approx(kernel_distance(real, own).mean)
        difference = np.abs(photographs.astype(float) - painted).mean() / 255
        assert found["lpips"]["value"] == pytest.approx(difference, rel=1e-4)
        errors = [((a.astype(float) - b) ** 2).mean() for a, b in zip(photographs, painted, strict=True)]
        decibels = [10 * np.log10(255**2 / error) for error in errors if error]
        assert found["psnr_db"]["value"] == pytest.approx(np.mean(decibels), abs=1e-4)
        # 32x48 is seen as 32x64, with the right edge repeated
        batch = [torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255 for x in (photographs, painted)]
        pooled = [encoder_features(judges.segmenter, x)[-1].mean((2, 3)).numpy() for x in batch]
        assert found["segmenter_frechet"]["value"] == pytest.approx(frechet_distance(*pooled), rel=1e-3)


def test_identical_images_are_told_and_left_out_of_the_mean(judges: Judges) -> None:
    """Fault: infinity in JSON, or a mean that is infinite for one image out of many."""
    scores = summarise_painting(looks_of(judges), BY_ALL, SIZE, "segmenter/abc")
    psnr = scores.summary["val"]["painted_predicted"]["scores"]["psnr_db"]
    assert psnr["settings"]["identical"] == 1
    assert psnr["note"].startswith("1 of 5 painted images are identical to their photographs")
    json.dumps(scores.summary, allow_nan=False)
    table = scores.per_sample.set_index(["painting", "id"])
    assert table.loc[("painted_predicted", "a004"), "psnr_db"] == np.inf
    assert table.loc[("painted_predicted", "a004"), "ssim"] == pytest.approx(1, abs=1e-6)
    assert table.loc[("painted_predicted", "a004"), "segmenter_difference"] == 0
    assert np.isfinite(scores.per_sample["psnr_db"]).sum() == 9


def test_what_moves_a_number_stands_beside_it(judges: Judges) -> None:
    scores = summarise_painting(looks_of(judges), BY_ALL, SIZE, "segmenter/abc")
    found = scores.summary["val"]["painted_true"]["scores"]
    assert {score["size"] for score in found.values()} == {"32x48"}
    assert {score["count"] for score in found.values()} == {5}
    assert found["fid"]["interpolation"] == "to 299x299, bilinear without antialiasing (as TensorFlow 1)"
    assert "published weights (sha256 6726825d)" in found["fid"]["extractor"]
    assert "weights that are not the published ones (sha256 11111111)" in found["lpips"]["extractor"]
    assert found["segmenter_frechet"]["extractor"].startswith("encoder of segmenter/abc, last feature map")
    assert found["ssim"]["settings"]["window_px"] == 11
    assert found["kid"]["settings"]["subset_size"] == 5
    assert found["segmenter_frechet"]["note"].startswith("Fréchet distances of 5 images with 6 features each")
    assert found["fid"]["note"] == ""  # more images than this eye's 3 features
    rows = scores.table.set_index(["painting", "score"])
    assert rows.loc[("painted_true", "ssim"), "value"] == found["ssim"]["value"]
    assert json.loads(rows.loc[("painted_true", "kid"), "settings"])["seed"] == 2020


def test_without_weights_the_score_is_left_out_and_the_way_to_it_told(judges: Judges) -> None:
    looks = looks_of(Judges(judges.segmenter, CPU))
    found = summarise_painting(looks, NONE, SIZE, "segmenter/abc").summary["val"]["painted_true"]["scores"]
    assert {name for name, score in found.items() if score["value"] is None} == {"fid", "kid", "lpips"}
    assert found["fid"]["note"] == found["kid"]["note"]
    assert found["fid"]["note"].startswith("FID and KID are left out, as there were no weights of Inception")
    assert "weights-inception-2015-12-05-6726825d.pth into torch hub's cache" in found["fid"]["note"]
    assert "score_quality.inception" in found["fid"]["note"]
    assert found["lpips"]["note"].startswith("LPIPS is left out, as there were no weights of AlexNet")
    assert found["segmenter_frechet"]["value"] > 0
    assert 0 < found["segmenter_difference"]["value"] <= 4


def test_one_image_is_no_distribution(judges: Judges) -> None:
    looks = look("val", ["a"], images(1, 1), {"painted_predicted": images(2, 1)}, judges)
    scores = summarise_painting(looks, BY_ALL, SIZE, "segmenter/abc").summary["val"]
    assert list(scores) == ["painted_predicted"]
    found = scores["painted_predicted"]["scores"]
    for name in ("fid", "kid", "segmenter_frechet", "segmenter_kernel"):
        assert found[name]["value"] is None
        assert found[name]["note"].startswith("one image is no distribution")
    assert found["ssim"]["value"] is not None


def test_images_of_other_sizes_are_refused(judges: Judges) -> None:
    with pytest.raises(ValueError, match=r"painted_true is \(5, 16, 48, 3\), the photographs are \(5, 32"):
        look("val", ids(5), images(1), {"painted_true": images(2)[:, :16]}, judges)


def test_no_images_give_tables_with_columns() -> None:
    scores = summarise_painting(Looks(), NONE, SIZE, "segmenter/abc")
    assert scores.summary == {}
    assert {"psnr_db", "identical"} <= set(scores.per_sample.columns)
    assert "extractor" in scores.table.columns


@pytest.fixture(scope="module")
def inception() -> bytes:
    """A file with the entries of the published one, drawn so that signals get through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = fidelity.FeatureExtractorInceptionV3("inception", ["2048"])
    torch.manual_seed(2)
    for name, entry in network.state_dict().items():
        if name.endswith("conv.weight"):
            entry.copy_(torch.randn_like(entry) * (2 / entry[0].numel()) ** 0.5)
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    return buffer.getvalue()


def test_inception_is_that_of_the_file(inception: bytes) -> None:
    """Fault: random weights kept, features of another layer, or images in the wrong order of channels."""
    network = load_inception(inception, "a.pth")
    batch = images(6, 2)
    found = inception_features(network, batch, CPU)
    assert found.shape == (2, 2048)
    with torch.no_grad():
        (expected,) = network(torch.from_numpy(batch).permute(0, 3, 1, 2))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)
    kept = torch.load(io.BytesIO(inception))
    assert all(torch.equal(entry, kept[name]) for name, entry in network.state_dict().items())
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert not np.allclose(inception_features(network, batch[..., ::-1], CPU), found)


def test_another_file_for_inception_is_refused(inception: bytes, tmp_path: Any) -> None:
    """Fault: a pickle that runs code, which torch-fidelity itself would load."""
    entries = torch.load(io.BytesIO(inception))
    entries.pop("fc.bias")
    buffer = io.BytesIO()
    torch.save(entries, buffer)
    with pytest.raises(WeightsError, match=r"a\.pth: not the Inception network of FID \(.*fc\.bias.*\)"):
        load_inception(buffer.getvalue(), "a.pth")

    class Bad:
        def __reduce__(self) -> tuple[Any, ...]:
            return (type(tmp_path).touch, (tmp_path / "ran",))

    buffer = io.BytesIO()
    torch.save({"fc.bias": Bad()}, buffer)
    with pytest.raises(WeightsError, match="not a plain checkpoint of tensors"):
        load_inception(buffer.getvalue(), "a.pth")
    assert not (tmp_path / "ran").exists()
