"""`segspade try`: which files there are, that nothing is lost, and a sentence for what is no picture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from handmade import commit
from PIL import Image
from typer.testing import CliRunner, Result

from flows.cli import app
from segspade_core.config import GeneratorArchitecture
from segspade_core.labels import ids_to_colours
from segspade_core.segmentation import Segmenter, pack_segmenter
from segspade_core.spade import SpadeGenerator, StyleEncoder, pack_generator
from storage.aliases import Aliases
from storage.refs import ArtifactRef

ARCHITECTURE = GeneratorArchitecture(
    width=2,
    max_channels=8,
    hidden=4,
    upsamplings=4,
    style_dim=3,
    style_width=1,
    cities=("bonn", "ulm"),
    times_of_day=("day", "night"),
    condition_dim=2,
)
OF_MAP = {
    "label_ids.png",
    "colours.png",
    "painting.png",
    "second_label_ids.png",
    "second_colours.png",
    "disagreement.png",
    "agreement.json",
    "panel.png",
}
OF_PHOTOGRAPH = OF_MAP | {"photograph.png", "overlay.png"}


def typed(*words: str | Path) -> Result:
    result = CliRunner().invoke(app, ["try", *map(str, words)])
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose models in use never learned; of two segmenters, another one is not in use."""
    workspace = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    generator = pack_generator(SpadeGenerator(ARCHITECTURE), style_encoder=StyleEncoder(ARCHITECTURE))
    for name in ("other", "used"):
        content = pack_segmenter(Segmenter("tu-mobilenetv3_small_050", 34, "fpn"))
        use(workspace, _model(workspace, "segmenter", name, content))
    use(workspace, _model(workspace, "generator", "used", generator))
    return workspace


def _model(workspace: Path, kind: str, name: str, content: bytes) -> ArtifactRef:
    return commit(workspace, kind, name, write=lambda at: put(at / "model.safetensors", content))


def use(workspace: Path, ref: ArtifactRef) -> None:
    Aliases(workspace).set(ref.kind, "production", ref.key)


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
IDS = np.repeat(np.repeat(np.array([[7, 8, 11], [23, 26, 33]], np.uint8), 16, 0), 16, 1)


def test_a_photograph_becomes_files_that_lie_over_each_other(models: Path, tmp_path: Path) -> None:
    """Faults: a file missing; maps of another size than the picture; a telephone's photograph on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned: 90 x 60 is stored as 60 x 90
    photograph = save(tmp_path / "street.jpg", np.rot90(PHOTOGRAPH), exif=exif)
    before = photograph.read_bytes()
    result = typed(photograph, "--out", tmp_path / "out", "--size", "64x48", "-w", models)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "out" / "street"
    assert {path.name for path in folder.iterdir()} == OF_PHOTOGRAPH | {"label_ids_full_size.png"}
    assert photograph.read_bytes() == before
    shapes = {path.stem: pixels_of(path).shape for path in folder.glob("*.png") if path.stem != "panel"}
    assert shapes.pop("label_ids_full_size") == (90, 60)
    assert {shape[:2] for shape in shapes.values()} == {(64, 48)}
    first, second = pixels_of(folder / "label_ids.png"), pixels_of(folder / "second_label_ids.png")
    colours = np.asarray(Image.open(folder / "colours.png").convert("RGB"))
    np.testing.assert_array_equal(colours, ids_to_colours(first))
    told = json.loads((folder / "agreement.json").read_bytes())
    assert told["agreement"]["accuracy"] == pytest.approx((first == second).mean())
    assert told["segmenter"] == f"segmenter/{Aliases(models).get('segmenter', 'production')}"
    assert (told["own_size"], told["size"]) == ([90, 60], [64, 48])
    assert sum(row["first"] for row in told["pixels"]) == 64 * 48


@pytest.mark.parametrize("colours", [False, True])
def test_a_label_map_is_where_it_begins(models: Path, tmp_path: Path, colours: bool) -> None:
    """Fault: a map of colours is read by its brightness, or a map is segmented as if it were a photograph."""
    path = save(tmp_path / "map.png", ids_to_colours(IDS) if colours else IDS)
    result = typed("--labels", path, "--out", tmp_path / "out", "--size", "32x48", "-w", models)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "out" / "map"
    assert {file.name for file in folder.iterdir()} == OF_MAP
    np.testing.assert_array_equal(pixels_of(folder / "label_ids.png"), IDS)


def test_what_is_asked_of_the_painting_is_painted(models: Path, tmp_path: Path) -> None:
    """Fault: an option that changes nothing."""
    path, style = save(tmp_path / "map.png", IDS), save(tmp_path / "style.png", PHOTOGRAPH)
    asked: dict[str, list[str | Path]] = {
        "plain": [],
        "city": ["--city", "ulm"],
        "time": ["--time-of-day", "night"],
        "seed": ["--seed", "4"],
        "style": ["--style", style],
    }
    painted = {}
    for name, options in asked.items():
        result = typed("--labels", path, "--out", tmp_path / name, *options, "-w", models)
        assert result.exit_code == 0, result.output
        painted[name] = (tmp_path / name / "map" / "painting.png").read_bytes()
    assert len(set(painted.values())) == len(painted)


def test_a_map_of_void_is_told_and_so_is_what_was_asked(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults: 'nan%' in the table; 'time_of_day day' on the sheet."""
    notes = []
    monkeypatch.setattr("tasks.trying.picture_sheet", lambda _, __, note: notes.append(note) or b"")
    path = save(tmp_path / "map.png", np.full((32, 48), 255, np.uint8))
    result = typed(
        *("--labels", path, "--out", tmp_path / "out", "--size", "32x48", "--time-of-day", "day"),
        *("-w", models),
    )
    assert result.exit_code == 0, result.output
    assert "nan" not in result.stdout
    (row,) = [line for line in result.stdout.splitlines() if "32x48" in line]
    assert row.split()[:4] == ["map.png", "32x48", "–", "–"]
    assert notes[0].endswith("; style: mean; time of day: day")


def test_pictures_of_one_name_get_folders_of_their_own(models: Path, tmp_path: Path) -> None:
    first, second = save(tmp_path / "a" / "x.png", PHOTOGRAPH), save(tmp_path / "b" / "X.png", PHOTOGRAPH)
    result = typed(first, second, "--out", tmp_path / "out", "--size", "32x32", "-w", models, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [Path(each["folder"]).name for each in told] == ["x", "X-2"]
    assert [set(each["files"]) for each in told] == [OF_PHOTOGRAPH | {"label_ids_full_size.png"}] * 2


def test_what_try_did_not_make_is_never_written_over(models: Path, tmp_path: Path) -> None:
    """Faults: a photograph that lies where a result would go is lost; or the style, or a stranger's file."""
    own = save(tmp_path / "photograph" / "photograph.png", PHOTOGRAPH)
    street = save(tmp_path / "in" / "z.png", PHOTOGRAPH)
    stranger = save(tmp_path / "z" / "painting.png", PHOTOGRAPH)
    result = typed(own, street, "--out", tmp_path, "--size", "32x32", "-w", models, "--json")
    assert result.exit_code == 0, result.output
    folders = [Path(each["folder"]).name for each in json.loads(result.stdout)]
    assert folders == ["photograph-2", "z-2"]
    # now that there is a result, it may be renewed, but not while one of its files is read
    style = tmp_path / "z-2" / "photograph.png"
    kept = style.read_bytes()
    save(tmp_path / "in" / "z-2.png", PHOTOGRAPH)
    for options, folder in (([], "z-2"), (["--style", style], "z-2-2"), (["--labels", style], "z-2-2")):
        words = [tmp_path / "in" / "z-2.png", "--out", tmp_path, "--size", "32x32", "-w", models, "--json"]
        result = typed(*words, *options)
        assert Path(json.loads(result.stdout)[0]["folder"]).name == folder
        assert style.read_bytes() == kept
    for path in (own, street, stranger):
        np.testing.assert_array_equal(pixels_of(path), PHOTOGRAPH)
    assert [path.name for path in stranger.parent.iterdir()] == ["painting.png"]


def test_a_result_that_is_renewed_keeps_nothing_of_the_earlier_one(models: Path, tmp_path: Path) -> None:
    """Fault: the photograph of one picture beside the map of another."""
    photograph, label_map = save(tmp_path / "a" / "x.png", PHOTOGRAPH), save(tmp_path / "b" / "x.png", IDS)
    typed(photograph, "--out", tmp_path / "out", "--size", "32x48", "-w", models)
    (tmp_path / "out" / "x" / "note.txt").write_text("mine")
    result = typed("--labels", label_map, "--out", tmp_path / "out", "--size", "32x48", "-w", models)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out" / "x").iterdir()} == OF_MAP | {"note.txt"}


BAD: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "no picture: give photographs, or label maps with --labels"),
    "missing": (["missing.jpg"], "missing.jpg: cannot be read (No such file or directory); check its name"),
    "folder": (["folder"], "folder: is a folder; name its pictures, such as folder/*.jpg"),
    "text": (["text.jpg"], "text.jpg: is in no format of pictures that is known here. Open it with another"),
    "map": (
        ["--labels", "photo.png"],
        "photo.png: has 5,400 colours that the table of labels lacks",
    ),
    "city": (
        ["photo.png", "--city", "rome"],
        "city 'rome': this generator was trained on bonn, ulm",
    ),
    "two styles": (["photo.png", "--seed", "1", "--style", "photo.png"], "--seed draws a style, and --style"),
    "style": (["photo.png", "--style", "text.jpg"], "text.jpg: is in no format of pictures"),
    "size": (["photo.png", "--size", "33"], "--size: size '33' is not HEIGHTxWIDTH, such as 256x512"),
    "stride": (
        ["photo.png", "--size", "33x48"],
        "33x48: the generator cannot paint it; the nearest it can is 32x48",
    ),
    "segmenter": (["photo.png", "--segmenter", "nobody"], "'nobody' is not in"),
    "out": (["photo.png", "--out", "text.jpg"], "text.jpg: is a file; give a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_sentence_and_leaves_nothing(
    models: Path, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "photo.png", np.arange(90 * 60 * 3).reshape(90, 60, 3).astype(np.uint8) ^ PHOTOGRAPH)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.jpg").write_text("<html>")
    words, message = BAD[case]
    result = typed(*words, "-w", models)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "tried").exists()


def test_one_bad_picture_does_not_keep_the_others_back(models: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no picture")
    os.mkfifo(tmp_path / "pipe.jpg")
    good = save(tmp_path / "good [1] (2).png", PHOTOGRAPH)
    bad = [tmp_path / name for name in ("bad.jpg", "missing.jpg", "pipe.jpg", ".")]
    result = typed(*bad, good, "--out", tmp_path / "out", "--size", "32x32", "-w", models)
    assert result.exit_code == 2
    for words in (
        "bad.jpg: is in no format of pictures",
        "missing.jpg: cannot be read",
        "pipe.jpg: is a pipe or a device; save the picture as a file",
        "is a folder; name its pictures",
    ):
        assert words in result.stderr
    assert (tmp_path / "out" / "good [1] (2)" / "panel.png").exists()
    assert "good [1] (2)/panel.png" in "".join(result.stdout.splitlines())
    assert not (tmp_path / "out" / "bad").exists()


def test_without_models_in_use_those_that_ship_stand_in_and_it_is_said(tmp_path: Path) -> None:
    path = save(tmp_path / "map.png", IDS)
    result = typed("--labels", path, "--out", tmp_path / "out", "--size", "32x64", "-w", tmp_path / "none")
    assert result.exit_code == 0, result.output
    assert (
        "has no segmenter/production or generator/production: the shipped segmenter and generator"
        in " ".join(result.stderr.split())
    )
    told = json.loads((tmp_path / "out" / "map" / "agreement.json").read_bytes())
    assert (told["segmenter"], told["generator"]) == ("shipped", "shipped")
    assert not (tmp_path / "none").exists()
    asked = typed(
        "--labels", path, "--out", tmp_path / "out", "--segmenter", "shipped", "--generator", "shipped"
    )
    assert (asked.exit_code, asked.stderr) == (0, "")


@pytest.mark.parametrize("colours", [False, True])
def test_a_map_that_is_taken_for_a_photograph_is_told(models: Path, tmp_path: Path, colours: bool) -> None:
    path = save(tmp_path / "map.png", ids_to_colours(IDS) if colours else IDS)
    street = save(tmp_path / "street.png", PHOTOGRAPH)
    result = typed(path, street, "--out", tmp_path / "out", "--size", "32x48", "-w", models)
    assert result.exit_code == 0, result.output
    assert "map.png: looks like a label map" in result.stderr
    assert "street.png: looks" not in result.stderr


def test_it_ends_quietly(models: Path, tmp_path: Path) -> None:
    """Fault: libraries that complain of leaks when the process ends."""
    words = ["try", "--labels", save(tmp_path / "map.png", IDS), "--out", tmp_path / "out", "-w", models]
    program = "import sys; from flows.cli import app; app()"
    ended = subprocess.run(
        [sys.executable, "-c", program, *map(str, words), "--size", "32x48"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert "leak" not in ended.stderr + ended.stdout


def test_it_needs_no_prefect() -> None:
    """Fault: a photograph waits for the seconds that Prefect takes to import."""

    script = (
        "import sys, flows.cli.trying, tasks.trying, tasks.picture_models, segspade_core.there_and_back\n"
    )
    script += "sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
