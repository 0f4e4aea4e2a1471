"""`segspade cycle`: a tiny journey round and round, through the command that README names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from storage.store import Store

pytestmark = pytest.mark.prefect

MODELS = ["dataset/tiny", "segmenter/tiny", "generator/tiny"]


@pytest.fixture
def typed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_api: str
) -> Iterator[CliRunner]:
    """A runner in a folder of its own, whose workspace holds the tiny journey."""
    shutil.copytree(made, tmp_path / "workspace")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    monkeypatch.setenv("COLUMNS", "160")
    return CliRunner()


def test_rounds_are_made_once_told_and_gone_on_from(typed: CliRunner, tmp_path: Path) -> None:
    """Fault: a round painted from another's maps, rounds made again, the page not where it is said to be."""
    store = Store(tmp_path / "workspace")
    journey = store.manifest(store.resolve("scores/tiny")).inputs
    two = typed.invoke(app, ["cycle", *MODELS, "--rounds", "2", "--json"])
    assert two.exit_code == 0, two.output
    told = json.loads(two.stdout)
    assert [row["round"] for row in told["by_round"]] == [0, 1, 2]
    assert told["samples"] == 2
    page = Path(told["page"])
    assert page.read_text().count("<svg") == 1
    inputs = store.manifest(store.resolve(told["depth"])).inputs
    # the first round is that of the journey's own scores
    assert inputs["round_00.maps"] == journey["val.predicted"]
    assert inputs["round_01.painting"] == journey["val.painted_predicted"]
    assert inputs["round_01.maps"] == journey["val.cycle"]
    second = store.manifest(store.resolve(inputs["round_02.painting"])).inputs
    assert second["label_maps"] == inputs["round_01.maps"]
    assert (
        store.manifest(store.resolve(inputs["round_02.maps"])).inputs["images"] == inputs["round_02.painting"]
    )

    before = set(store.refs())
    three = typed.invoke(app, ["cycle", *MODELS, "--rounds", "3"])
    assert three.exit_code == 0, three.output
    new = [ref.kind for ref in set(store.refs()) - before]
    assert sorted(new) == ["depth", "images", "label_maps"]
    lines = [line.split() for line in three.stdout.splitlines()]
    assert [words[0] for words in lines if len(words) == 9 and words[0].isdigit()] == ["0", "1", "2", "3"]
    assert "rest" in three.stdout
    assert "class" in three.stdout
    assert Path(three.stdout.strip().splitlines()[-1]).name == "depth.html"
    assert Path(three.stdout.strip().splitlines()[-1]).exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rounds", "0"], "--rounds: Input should be greater than or equal to 1 (given: 0)"),
        (["--rounds", "51"], "--rounds: Input should be less than or equal to 50 (given: 51)"),
        (["--split", "all"], "--split all: there is no such split; there are train, val and test"),
        (
            ["--split", "test", "--limit", "0"],
            "--limit: Input should be greater than or equal to 1 (given: 0)",
        ),
        (["--split", "test"], "has no split 'test'; it has train, val"),
        (["--style", "loud"], "--style: a style is 'mean', 'sample:SEED' with a whole number"),
        (["--city", "ulm"], "knows no city"),
        (["--rest", "1"], "--rest: Input should be less than 1 (given: 1.0)"),
        (["--dead", "0"], "--dead: Input should be greater than 0 (given: 0.0)"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    typed: CliRunner, tmp_path: Path, words: list[str], said: str
) -> None:
    before = Store(tmp_path / "workspace").refs()
    result = typed.invoke(app, ["cycle", *MODELS, *words])
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert Store(tmp_path / "workspace").refs() == before


def test_models_in_another_order_are_refused(typed: CliRunner) -> None:
    result = typed.invoke(app, ["cycle", *MODELS[::-1]])
    assert result.exit_code == 2
    assert "'generator/tiny' is of kind generator; this takes dataset" in result.output
