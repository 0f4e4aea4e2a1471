"""Models for programs that know nothing of this project: they give what ours give, at any batch."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from handmade import commit

from segspade_core import portable
from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import InputError
from segspade_core.portable import PortableGenerator, PortableSegmenter, as_onnx, as_torch_program, code_parts
from segspade_core.segmentation import Segmenter, pack_segmenter, predict
from segspade_core.spade import Painter, SpadeGenerator, pack_generator
from tasks import portable as writing
from tasks.portable import export_model

pytestmark = pytest.mark.slow
SIZE = (32, 64)
STEERED = GeneratorArchitecture(
    width=2, max_channels=8, hidden=4, upsamplings=4, style_dim=3, style_width=1, cities=("bonn", "ulm"),
    times_of_day=("day",), condition_dim=2,
)  # fmt: skip
PLAIN = GeneratorArchitecture(width=2, max_channels=8, hidden=4, upsamplings=4, instance_edges=False)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)
IDS = RANDOM.integers(4, 34, (3, *SIZE), dtype=np.uint8)
IDS[0, :4] = 255


def segmenter(space: Any = "ids") -> Segmenter:
    torch.manual_seed(0)
    model = Segmenter("tu-mobilenetv3_small_050", 19 if space == "train_ids" else 34, "fcn32", space).eval()
    model.untaught = (1, 5)
    return model


def generator(architecture: GeneratorArchitecture) -> SpadeGenerator:
    torch.manual_seed(0)
    made = SpadeGenerator(architecture).eval()
    with torch.no_grad():
        made.conv_img.weight.mul_(5)
    return made


def run_onnx(content: bytes, **arguments: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, arguments)


def run_torch(content: bytes, *arguments: np.ndarray) -> list[np.ndarray]:
    module = torch.export.load(io.BytesIO(content)).module()
    with torch.inference_mode():
        return [output.numpy() for output in module(*map(torch.from_numpy, arguments))]


@pytest.mark.parametrize("space", ["ids", "train_ids"])
def test_a_segmenter_predicts_what_ours_predicts(space: Any) -> None:
    """Faults: void or what was never taught is chosen; train ids are taken for ids; a batch of one alone."""
    model = segmenter(space)
    expected = predict(model, IMAGES)
    module = PortableSegmenter(model)
    # both are made of one program: a space of labels each is enough, as ONNX takes its time
    content = as_onnx(module, SIZE, {}) if space == "ids" else as_torch_program(module, SIZE)
    for batch in (slice(0, 1), slice(0, 3)):
        given = IMAGES[batch]
        label_ids, logits = run_onnx(content, image=given) if space == "ids" else run_torch(content, given)
        assert label_ids.shape == expected[batch].shape
        assert (label_ids != expected[batch]).mean() < 1e-3
        with torch.inference_mode():
            ours = model(torch.from_numpy(given).permute(0, 3, 1, 2).float() / 255)
        np.testing.assert_allclose(logits, ours.numpy(), atol=1e-4)


@pytest.mark.parametrize("architecture", [STEERED, PLAIN], ids=["steered", "plain"])
def test_a_generator_paints_what_ours_paints(architecture: GeneratorArchitecture) -> None:
    """Faults: edges between instances are left out, void has a channel, the code is another."""
    network = generator(architecture)
    instances = RANDOM.integers(0, 3, IDS.shape).astype(np.int32)
    code = None
    arguments: dict[str, np.ndarray] = {"label_ids": IDS}
    if architecture is STEERED:
        parts = code_parts(network)
        row = [0.0] * parts["style_dim"] + parts["city"]["ulm"] + parts["time_of_day"]["any"]
        code = network.code_book(None, {"city": torch.tensor([1])}, 1).detach()
        np.testing.assert_allclose(row, code[0].numpy(), rtol=1e-6)
        arguments |= {"instance_ids": instances, "code": np.array([row] * 3, np.float32)}
    painter = Painter(network, method="dense")
    ours = np.stack(
        [painter.paint(IDS[i], instances[i], None if code is None else code[0]) for i in range(3)]
    )
    module = PortableGenerator(network)
    assert module.names_in == tuple(arguments)
    onnx, program = as_onnx(module, SIZE, {}), as_torch_program(module, SIZE)
    for stop in (1, 3):
        given = {name: argument[:stop] for name, argument in arguments.items()}
        for photographs, images in (run_onnx(onnx, **given), run_torch(program, *given.values())):
            assert np.abs(photographs.astype(int) - ours[:stop]).max() <= 1
            assert (photographs != ours[:stop]).mean() < 1e-3
            np.testing.assert_allclose((images.transpose(0, 2, 3, 1) + 1) / 2 * 255, ours[:stop], atol=0.51)


def put(content: bytes) -> Any:
    return lambda folder: (folder / "model.safetensors").write_bytes(content)


def test_files_lie_beside_each_other_and_tell_labels_and_codes(workspace: Path, tmp_path: Path) -> None:
    model = commit(workspace, "generator", write=put(pack_generator(generator(STEERED))))
    written = export_model(workspace, "generator", model, tmp_path / "out", ["onnx", "torch"], SIZE)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in written.files}
    assert [path.name for path in written.files] == [
        "generator.onnx", "generator.pt2", "labels.json", "code.json",
    ]  # fmt: skip
    assert set(written.differences) == {"photograph", "image"}
    assert max(written.differences.values()) < 1e-3
    labels = json.loads((tmp_path / "out" / "labels.json").read_bytes())
    assert labels[26] == {"id": 26, "name": "car", "train_id": 13, "colour": [0, 0, 142]}
    assert set(json.loads((tmp_path / "out" / "code.json").read_bytes())["city"]) == {"bonn", "ulm", "any"}


def test_what_does_not_compute_the_same_is_not_written(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a file whose results nobody has compared."""
    model = commit(workspace, "segmenter", write=put(pack_segmenter(segmenter())))
    honest = portable.as_onnx

    def other(module: Any, size: tuple[int, int], about: dict[str, str]) -> bytes:
        with torch.no_grad():
            module.bars += torch.arange(34).view(1, -1, 1, 1) * 100.0
        content = honest(module, size, about)
        module.bars.zero_()
        return content

    monkeypatch.setattr(portable, "as_onnx", other)
    with pytest.raises(InputError, match=r"Runtime computes another label_ids than torch: .* Nothing was"):
        writing.export_model(workspace, "segmenter", model, tmp_path / "out", ["onnx"], SIZE)
    assert not (tmp_path / "out").exists()


def test_a_size_that_cannot_be_painted_is_told(workspace: Path, tmp_path: Path) -> None:
    model = commit(workspace, "generator", write=put(pack_generator(generator(PLAIN))))
    with pytest.raises(InputError, match="both sides must be multiples of 16"):
        export_model(workspace, "generator", model, tmp_path / "out", ["torch"], (30, 64))
    assert not (tmp_path / "out").exists()
