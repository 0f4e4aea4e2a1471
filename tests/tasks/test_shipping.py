"""What ships is what was trained, small, and tells where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from handmade import commit

from segspade_core.config import GeneratorArchitecture, MinicityConfig
from segspade_core.datasets.minicity import draw_frame
from segspade_core.labels import void_mask
from segspade_core.segmentation import predict
from segspade_core.spade import StyleEncoder, load_generator, load_style_encoder, pack_generator
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.semantics import one_hot_semantics
from storage.aliases import Aliases
from tasks.picture_models import load_segmenter_of
from tasks.shipping import ship

ARCHITECTURE = GeneratorArchitecture(
    width=4, max_channels=16, hidden=8, upsamplings=5, style_dim=4, style_width=2
)


def _put(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def test_a_trained_generator_ships_with_its_manifest(workspace: Path, tmp_path: Path) -> None:
    """Fault: the weights of another artifact, or a manifest without config, data, seconds or scores."""
    torch.manual_seed(0)
    semantics = one_hot_semantics(
        torch.randint(4, 34, (2, 32, 64)), torch.zeros(2, 32, 64, dtype=torch.bool), ARCHITECTURE.num_labels
    )
    trained = SpadeGenerator(ARCHITECTURE)
    with torch.no_grad():
        for _ in range(20):  # batch statistics and spectral norms as training leaves them
            trained(semantics)
    trained.eval()
    encoder = StyleEncoder(ARCHITECTURE).eval()
    weights = pack_generator(trained, style_encoder=encoder)
    dataset = commit(workspace, "dataset", write=lambda folder: _put(folder / "a.txt", b"a"))
    generator = commit(
        workspace,
        "generator",
        write=lambda folder: _put(folder / "model.safetensors", weights),
        dataset=dataset,
    )
    other = commit(
        workspace, "generator", "other", write=lambda folder: _put(folder / "model.safetensors", b"another")
    )
    summary = {"splits": {"val": {"cycle": {"ids": {"pixel_accuracy": 0.9}}}}}
    content = json.dumps(summary).encode()
    scores = commit(workspace, "scores", write=lambda folder: _put(folder / "scores.json", content))
    aliases = Aliases(workspace)
    aliases.set("generator", "a-run", generator.key)
    aliases.set("generator", "another", other.key)
    aliases.set("scores", "a-run", scores.key)

    ship(workspace, "generator", "a-run", "small", tmp_path)

    packed = (tmp_path / "small.safetensors").read_bytes()
    assert len(packed) < 0.7 * len(weights)
    shipped = load_generator(packed)
    with torch.inference_mode():
        # float16 has 11 bits of mantissa
        torch.testing.assert_close(shipped(semantics), trained(semantics), atol=2e-2, rtol=0)
        photograph = torch.rand(1, 3, 32, 64) * 2 - 1
        shipped_encoder = load_style_encoder(packed)
        assert shipped_encoder is not None, "no style can be read off a photograph any more"
        mu, _ = shipped_encoder(photograph)
        torch.testing.assert_close(mu, encoder(photograph)[0], atol=2e-2, rtol=2e-2)
    about = json.loads((tmp_path / "small.json").read_text())
    assert about["key"] == generator.key
    assert {"config", "seconds", "device", "packages"} <= set(about)
    assert [each["key"] for each in about["made_from"]] == [dataset.key]
    assert about["scores"]["splits"] == summary["splits"]


def test_the_segmenter_that_ships_reads_streets_it_never_saw(workspace: Path) -> None:
    """Faults: halved weights are taken for whole ones; colours are normalised in another way."""
    segmenter = load_segmenter_of(workspace, None)
    city = MinicityConfig(train=0, val=3, size=(192, 384), seed=77)
    samples = [draw_frame(city, "val", index).sample for index in range(3)]
    predicted = predict(segmenter, np.stack([sample.image for sample in samples]))
    true = np.stack([sample.label_ids for sample in samples if sample.label_ids is not None])
    assert (predicted == true)[~void_mask(true)].mean() > 0.75
