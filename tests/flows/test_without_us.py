"""What docs/portable.md says to type needs a runtime, numpy and Pillow, and nothing of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import commit
from PIL import Image
from typer.testing import CliRunner

from flows.cli import app
from segspade_core.config import GeneratorArchitecture, PictureConfig, RuntimeConfig
from segspade_core.labels import ids_to_colours
from segspade_core.segmentation import Segmenter, pack_segmenter
from segspade_core.spade import SpadeGenerator, pack_generator
from storage.aliases import Aliases
from tasks.picture_models import choose_models, load_models

PAGE = Path(__file__).parent.parent.parent / "docs" / "portable.md"
BY_ONNX, BY_TORCH = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
SIZE = (32, 64)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photograph, a workspace with models that never learned, and these exported."""
    folder = tmp_path_factory.mktemp("elsewhere")
    torch.manual_seed(0)
    architecture = GeneratorArchitecture(
        width=2, max_channels=8, hidden=4, upsamplings=4, style_dim=3, style_width=1, condition_dim=2,
        cities=("bonn", "ulm"), times_of_day=("day", "night"),
    )  # fmt: skip
    segmenter = pack_segmenter(Segmenter("resnet18", 34))
    generator = pack_generator(SpadeGenerator(architecture))
    for kind, content in (("segmenter", segmenter), ("generator", generator)):

        def write(at: Path, content: bytes = content) -> None:
            (at / "model.safetensors").write_bytes(content)

        ref = commit(folder / "workspace", kind, write=write)
        Aliases(folder / "workspace").set(kind, "mine", ref.key)
        words = ["export", f"{kind}/mine", str(folder / "models"), "--as", "onnx", "--as", "torch"]
        done = CliRunner().invoke(app, [*words, "--size", "32x64", "-w", str(folder / "workspace")])
        assert done.exit_code == 0, done.output
    pixels = np.random.default_rng(0).integers(0, 256, (48, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "street.jpg")
    return folder


def run(folder: Path, script: str, *unwanted: str) -> str:
    """Run a script of the page as a program of its own, which imports none of the packages."""
    script += f"\nimport sys\nassert not {set(unwanted)!r} & set(sys.modules), sorted(sys.modules)"
    command = [sys.executable, "-I", "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_with_onnx_runtime_it_goes_there_and_back(folder: Path) -> None:
    """Faults: an input that is called otherwise, a code put together in another order, a part of us."""
    told = run(folder, BY_ONNX, "torch", "segspade_core", "tasks")
    assert "cities: bonn ulm any ; times of day: day night any" in told
    models = load_models(
        folder / "workspace",
        choose_models(folder / "workspace", "segmenter/mine", "generator/mine"),
        RuntimeConfig(device="cpu"),
    )
    photograph = Image.open(folder / "street.jpg").resize(SIZE[::-1], Image.Resampling.BOX)
    label_ids = models.segment(np.array(photograph))
    painting = models.paint(label_ids, models.code(PictureConfig(time_of_day="night")))
    second = models.segment(painting)
    # where two classes are equally near, rounding decides
    (share,) = re.findall(r"([\d.]+)% of the pixels", told)
    assert float(share) / 100 == pytest.approx((label_ids == second).mean(), abs=0.01)
    for ours, name in ((label_ids, "map.png"), (second, "second-map.png")):
        theirs = np.asarray(Image.open(folder / name))
        assert (theirs == ids_to_colours(ours)).all(axis=2).mean() > 0.99
    theirs = np.asarray(Image.open(folder / "painting.png")).astype(int)
    assert (np.abs(theirs - painting) <= 1).mean() > 0.99


def test_with_torch_alone_it_paints(folder: Path) -> None:
    """Fault: a program that needs our classes to be loaded, or says nothing of what it takes."""
    (folder / "painting.png").unlink(missing_ok=True)
    run(folder, BY_TORCH, "segspade_core", "tasks")
    assert np.asarray(Image.open(folder / "painting.png")).shape == (*SIZE, 3)
