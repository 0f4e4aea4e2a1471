"""What README says to type is typed here, on a journey small enough for a test."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flows.cli import app
from segspade_core.config import MinicityConfig
from storage.aliases import Aliases
from storage.store import Store
from tasks.minicity_folder import draw_folder

ROOT = Path(__file__).parent.parent.parent
CAMVID = ROOT.parent / "shared/data/camvid-sample"
# README's names and sizes → those of the journey in `made`
SMALLER = {
    "/minicity": "/tiny",
    "dataset/…": "dataset/tiny",
    "--train 160": "--train 4",
    "--val 32": "--val 2",
    "256x512": "32x64",
    "192x384": "32x64",
    "epochs=8": "epochs=1",
}
QUICK = (
    "segmenter.encoder=resnet18",
    "segmenter.weights=none",
    "segmenter.epochs=1",
    "segmenter.batch=8",
    "ingest.size=32x64",
    "runtime.threads=1",
    "runtime.device=cpu",
    "score_quality={inception: none, lpips: none}",
)

pytestmark = pytest.mark.prefect


def commands(heading: str) -> list[list[str]]:
    """The words of every `segspade` line in the code blocks of one section."""
    section = re.split(r"^## ", (ROOT / "README.md").read_text(), flags=re.M)
    (text,) = [part for part in section if part.startswith(heading)]
    lines = re.findall(r"^    (segspade .*)$", text, re.M)
    assert lines, f"README has no commands under '{heading}'"
    for large, small in SMALLER.items():
        lines = [line.replace(large, small) for line in lines]
    return [shlex.split(line)[1:] for line in lines]


@pytest.fixture
def typed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_api: str
) -> Iterator[CliRunner]:
    """A runner in a folder of its own, whose workspace holds the tiny journey."""
    shutil.copytree(made, tmp_path / "workspace")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner()


def run(runner: CliRunner, words: list[str]) -> Result:
    result = runner.invoke(app, words)
    assert result.exit_code == 0, f"{' '.join(words)}\n{result.output}"
    return result


def test_stages_and_artifacts(typed: CliRunner, tmp_path: Path) -> None:
    """Fault: a command in README takes other words than README says, or does something else."""
    printed = {}
    for words in commands("One stage at a time"):
        printed[" ".join(words[:2])] = run(typed, words).stdout
    store = Store(tmp_path / "workspace")
    for command in ("ingest city/", "train-segmenter dataset/tiny", "import-generator shipped:minicity"):
        assert store.exists(store.resolve(printed[command].strip().splitlines()[-1]))
    # these were made by the journey: the stage says what there is
    for command, kind in {
        "segment segmenter/tiny": "label_maps",
        "synthesize generator/tiny": "images",
        "report scores/tiny": "report",
    }.items():
        assert printed[command].startswith(f"{kind}/")
    assert "segmenter/production" in typed.invoke(app, ["alias", "list"]).stdout
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2 * 5
    assert len(list((tmp_path / "city" / "leftImg8bit").rglob("*.png"))) == 6


def test_how_good_a_segmenter_is(typed: CliRunner, tmp_path: Path) -> None:
    """Fault: confidences or looks are not asked for, nothing plotted, maps submitted under other names."""
    store = Store(tmp_path / "workspace")
    key = store.resolve("segmenter/tiny").key
    Aliases(tmp_path / "workspace").set("segmenter", "production", key)
    predicted = store.manifest(store.resolve("scores/tiny")).inputs["val.predicted"]
    printed = [
        run(typed, [predicted if word == "label_maps/…" else word for word in words]).stdout
        for words in commands("How good a segmenter is")
    ]
    scores = store.resolve(printed[0].strip().splitlines()[-1])
    summary = json.loads((store.path(scores) / "scores.json").read_bytes())
    assert summary["splits"]["val"]["segmenter"]["calibration"]["ids"]["ece"] >= 0
    assert key in printed[1]
    assert (tmp_path / "compare.svg").read_text().startswith("<svg")
    assert "wrote 2 label maps of val" in printed[2]
    assert len(list((tmp_path / "submission").glob("*_labelIds.png"))) == 2
    looked = store.manifest(store.resolve(printed[3].strip().splitlines()[-1])).config
    assert (looked["windows"]["size"], looked["flip"], looked["scales"]) == ("96x192", True, [1.0, 1.25])


def test_trials_before_a_training(typed: CliRunner, tmp_path: Path) -> None:
    """Fault: what README says to try first takes other words, or leaves something behind."""
    before = Store(tmp_path / "workspace").refs()
    learned, rates = (run(typed, words).stdout for words in commands("Before a long training"))
    assert "it can learn" in learned
    assert "the loss falls steepest at" in rates
    assert "<polyline" in (tmp_path / "rates.svg").read_text()
    assert Store(tmp_path / "workspace").refs() == before


def test_a_city_at_night(typed: CliRunner, tmp_path: Path) -> None:
    """Fault: the generator that ships knows no conditions, or not the names that README asks for."""
    shipped = run(typed, ["import-generator", "shipped:minicity"]).stdout.strip().splitlines()[-1]
    run(typed, ["alias", "set", "generator/tiny", shipped])
    (words,) = commands("City, time of day")
    store = Store(tmp_path / "workspace")
    made = store.resolve(run(typed, words).stdout.strip().splitlines()[-1])
    config = store.manifest(made).config
    assert (config["city"], config["time_of_day"]) == ("nordvik", "night")


def test_round_and_round(typed: CliRunner) -> None:
    """Fault: README's words are not the command's. Fewer rounds, which test_cycle_rounds.py looks into."""
    (words,) = commands("Round and round")
    printed = run(typed, ["1" if word == "8" else word for word in words]).stdout
    assert Path(printed.strip().splitlines()[-1]).read_text().startswith("<!doctype html>")


@pytest.mark.slow
@pytest.mark.skipif(not CAMVID.exists(), reason="the sample of real frames is not beside the checkout")
def test_camvid_config_on_real_frames(typed: CliRunner, tmp_path: Path) -> None:
    """Fault: the config cannot be run as README says; real photographs break a stage."""
    (words,) = [words for words in commands("Your photographs") if "configs/camvid.yaml" in words]
    small = [
        *QUICK,
        f"source.path={CAMVID}",
        "generator.generator={width: 4, max_channels: 16, hidden: 4, upsamplings: 5}",
        "generator.discriminator={width: 4, scales: 1, layers: 2}",
        "generator.epochs=1",
        "evaluate.limit={train: 4}",
    ]
    run(typed, [words[0], str(ROOT / words[1]), *(f"--set={setting}" for setting in small)])
    scores = Store(tmp_path / "workspace").resolve("scores/camvid")
    manifest = Store(tmp_path / "workspace").manifest(scores)
    assert manifest.counts == {"train": 4, "val": 8}
    assert set(manifest.metrics["val"]) == {"segmenter", "painted_true", "painted_predicted", "cycle"}
    assert set(manifest.metrics["painting"]["val"]) == {"painted_true", "painted_predicted"}


@pytest.mark.slow
def test_cityscapes_config_on_a_drawn_city(typed: CliRunner, tmp_path: Path, tiny_file: Path) -> None:
    """Fault: the reference study cannot be run as README says."""
    (words,) = [words for words in commands("Your photographs") if "configs/cityscapes.yaml" in words]
    draw_folder(MinicityConfig(train=8, val=2, size=(32, 64)), tmp_path / "city")
    (tmp_path / "city" / "minicity.json").unlink()
    weights = tiny_file.parent / "generator.safetensors"
    small = [*QUICK, f"source.path={tmp_path / 'city'}", f"generator.weights={weights}"]
    run(typed, [words[0], str(ROOT / words[1]), *(f"--set={setting}" for setting in small)])
    workspace = Store(tmp_path / "workspace")
    assert workspace.manifest(workspace.resolve("scores/cityscapes")).counts == {"train": 8, "val": 2}


def test_retraining_and_what_undoes_it(typed: CliRunner, tmp_path: Path, tiny_file: Path) -> None:
    """`segspade worker` becomes another program: test_deploy.py starts it as a process."""
    aliases = Aliases(tmp_path / "workspace")
    printed = {}
    for words in commands("Retraining by itself"):
        if words == ["worker"]:
            continue
        if "rollback" in words:  # as after a second retraining
            first = aliases.get("segmenter", "production")
            aliases.set("segmenter", "production", "0" * 16, "better")
        typed_words = [str(tiny_file) if word == "configs/tiny.yaml" else word for word in words]
        printed[words[0] if words[0] != "alias" else words[1]] = run(typed, typed_words).stdout
    assert printed["retrain"].startswith("Promoted  segmenter/")
    assert "there was none in use" in printed["history"]
    assert printed["rollback"] == f"segmenter/production → {first}\n"
    assert aliases.history("segmenter", "production")[-1]["reason"] == "worse at night"


def test_a_workspace_in_a_bucket(
    typed: CliRunner,
    tiny_file: Path,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fault: the command line takes a URL for the name of a folder, or a person is shown the cache."""
    caplog.set_level("ERROR")
    run_words, list_words, *_ = commands("A workspace in a bucket")
    named = {"s3://bucket/team": url, "configs/tiny.yaml": str(tiny_file)}
    printed = run(typed, [named.get(word, word) for word in run_words]).output
    assert f"--workspace {url}" in printed
    assert not caplog.records
    assert "label_maps" in run(typed, [named.get(word, word) for word in list_words]).stdout
    monkeypatch.setenv("SEGSPADE_WORKSPACE", url)
    aliases = run(typed, ["alias", "list"]).stdout
    assert "segmenter/tiny" in aliases
    assert f"{url}/artifacts/report/" in run(typed, ["artifacts", "show", "report/tiny"]).stdout
    assert not Path("s3:").exists()


def test_artifacts_move(typed: CliRunner, tmp_path: Path, url: str) -> None:
    """Fault: what was pushed is not what is pulled, or comes without what it was made from."""
    *_, push, pull = commands("A workspace in a bucket")
    pushed = run(typed, [url if word == "s3://bucket/team" else word for word in push]).stdout
    (tmp_path / "workspace").rename(tmp_path / "laptop")
    pulled = run(typed, [url if word == "s3://bucket/team" else word for word in pull]).stdout
    here, laptop = Store(tmp_path / "workspace"), Store(tmp_path / "laptop")
    segmenter = laptop.resolve("segmenter/tiny")
    assert pushed.split() == [str(segmenter), "segmenter/best"]
    assert pulled.split() == [str(segmenter)]
    assert set(here.refs()) == set(laptop.lineage(segmenter))
    assert here.verify() == []


@pytest.mark.slow
def test_a_cluster(typed: CliRunner, tmp_path: Path, tiny_file: Path) -> None:
    from distributed import LocalCluster

    (words,) = commands("On many machines")
    store = Store(tmp_path / "workspace")
    for kind in ("label_maps", "images", "scores", "report"):
        for ref in store.refs(kind):
            store.remove(ref)
    here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, threads_per_worker=1, **here) as cluster:
        typed_words = [
            str(tiny_file)
            if word == "configs/tiny.yaml"  # as `SMALLER` names it
            else word.replace("tcp://127.0.0.1:8786", cluster.scheduler_address)
            for word in words
        ]
        assert "Report" in run(typed, typed_words).stdout
    assert store.verify() == []
