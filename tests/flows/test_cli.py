"""`segspade`: exit statuses, one clear sentence for bad input, and answers at once where nothing is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from handmade import commit
from typer.testing import CliRunner

from flows.cli import app, summary
from flows.cli.errors import reporting_errors
from flows.cli.options import load_run_config, parse_splits
from segspade_core.errors import InputError
from storage.store import Store

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "configs").glob("*.yaml")),
]


CITYSCAPES = str(ROOT / "configs" / "cityscapes.yaml")


def error_of(*arguments: str | Path) -> tuple[int, str]:
    """Exit status and what is written to standard error."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert "Traceback" not in result.stderr
    return result.exit_code, " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("minicity", "out", "--size", "25x"), "error: --size: size '25x' is not HEIGHTxWIDTH"),
        (("minicity", "out", "--train", "-1"), "--train: Input should be greater than or equal to 0"),
        (("run", "nothing.yaml"), "error: nothing.yaml: cannot be read (No such file or directory)"),
        (
            ("score", "a", "b", "c", "--split", "vall"),
            "--split vall: there is no such split; there are train",
        ),
        (
            ("score", "dataset/a", "segmenter/a", "generator/a", "--set", "kid=5", "-w", "."),
            "--set: kid: there is no such setting",
        ),
        (
            ("score", "a", "b", "c", "--resolution", "full"),
            "error: --resolution: Input should be 'label' or 'network' (given: 'full')",
        ),
        (("segment", "a", "b", "-w", "nowhere"), "error: nowhere: there is no workspace; name another with"),
        (("segment", "a", "b", "--windows", "wide"), "error: --windows: size 'wide' is not HEIGHTxWIDTH"),
        (
            ("segment", "a", "b", "--windows", "32x32"),
            "error: --windows: windows of 32x32 with an overlap of",
        ),
        (
            ("segment", "a", "b", "--windows", "64x64", "--overlap", "0.9"),
            "Invalid value for '--overlap': Input should be",
        ),
        (("segment", "a", "b", "--scales", "1,1"), "error: --scales: each scale counts once"),
        (
            ("train-segmenter", "abcd", "--set", "augment.scale=[1.5,0.5]", "-w", "."),
            "error: --set: augment.scale: a range is [least, most]: [0.5, 1.5]",
        ),
        (
            ("train-segmenter", "abcd", "--set", "augment.scale=[0,1]", "-w", "."),
            "error: --set: augment.scale.0: Input should be greater than or equal to 0.1",
        ),
        (
            (
                "train-segmenter",
                "abcd",
                "--set",
                "epochs=1",
                "--set",
                "optimiser.frozen_encoder_epochs=1",
                "-w",
                ".",
            ),
            "error: segmenter.optimiser.frozen_encoder_epochs 1: in 1 epochs the encoder would never learn",
        ),
        (
            ("train-segmenter", "abcd", "--set", "lr=1", "-w", "."),
            "error: segmenter.lr is now segmenter.optimiser",
        ),
        (("segment", "a", "b", "--overlap", "0.5"), "error: --overlap: there are no windows to overlap"),
        (
            ("segment", "a", "b", "--scales", "1,9"),
            "error: --scales: Input should be less than or equal to 4",
        ),
        (("artifacts", "list", "-w", ""), "Invalid value for '--workspace' / '-w'"),
        (("artifacts", "list", "-w", "nowhere"), "error: nowhere: there is no workspace"),
        (("alias", "set", "production", "abcd", "-w", "."), "'production' is not kind/alias, such as"),
        (
            ("artifacts", "list", "models", "-w", "."),
            "'models' is no kind of artifact; the kinds are minicity",
        ),
        (("artifacts", "show", "abcd", "-w", "."), "'abcd' is not in"),
        (("submit", "abcd", "out", "-w", "."), "'abcd' is not in"),
        (("compare", "abcd", "-w", "."), "'abcd' is not in"),
        (("compare", "abcd", "--out", "a.jpg", "-w", "."), "--out a.jpg: the plot is written as SVG; give a"),
        (("compare", "abcd", "--device", "tpu", "-w", "."), "error: --device: String should match pattern"),
        (
            ("train-segmenter", "abcd", "--set", "epoch=5", "-w", "."),
            "--set: epoch: there is no such setting",
        ),
        (("train-segmenter", "abcd", "--set", "epochs", "-w", "."), "--set epochs: not KEY=VALUE, such as"),
        (
            ("train-segmenter", "abcd", "--set", "optimiser.lr=0", "-w", "."),
            "error: --set: optimiser.lr: Input should be greater than 0",
        ),
        (
            ("train-segmenter", "abcd", "--set", "loss=[{kind: focal, gamma: 20}]", "-w", "."),
            "error: --set: loss.0.gamma: Input should be less than or equal to 10",
        ),
        (("ingest", ".", "--layout", "kitti", "--size", "32x64"), "--layout: Input should be"),
        (
            ("train-generator", "abcd", "--set", "conditions=city", "-w", "."),
            "error: --set: conditions: a list is wanted: [city]",
        ),
        (
            ("train-generator", "abcd", "--set", "discriminator.kind=gan", "-w", "."),
            "error: --set: discriminator.kind: there are 'patch', 'unet', 'encoder' (given: 'gan')",
        ),
        (
            ("train-generator", "abcd", "--set", "discriminator={kind: unet, layers: 3}", "-w", "."),
            "error: --set: discriminator.layers: there is no such setting",
        ),
        (("import-generator", "", "-w", "."), "error: weights: String should have at least 1 character"),
        (("import-generator", "/dev/null", "-w", "."), "error: /dev/null: not an ordinary file; give a file"),
        (("demo", "--wrokspace", "x"), "No such option: --wrokspace"),
        (("dmeo",), "No such command 'dmeo'"),
        (("run", CITYSCAPES), "error: data/cityscapes: there is no such file or folder; give the dataset's"),
        (
            ("run", CITYSCAPES, "--set", "source.path=."),
            "latest_net_G.pth: no such file; generator.weights is",
        ),
        (
            ("import-generator", "no.pth"),
            "error: no.pth: no such file; generator.weights is 'shipped:minicity'",
        ),
        (
            ("ingest", "no", "--layout", "camvid", "--size", "32x64"),
            "error: no: there is no such file or folder",
        ),
        (("ui", "--port", "0"), "Invalid value for '--port'"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, error = error_of(*arguments)
    assert status == 2
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, error = error_of("demo", "-w", tmp_path / "file")
    assert (status, "no workspace can be made there (it is a file)" in error) == (2, True)


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    status, error = error_of("run", ROOT / "configs" / "minicity.yaml", "-w", tmp_path)
    assert status == 2
    assert "PREFECT_API_URL is http://127.0.0.1:9/api, but nothing answers there" in error


def test_unknown_keys_in_a_config_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text((ROOT / "configs/minicity.yaml").read_text() + "reprot: {}\n")
    with pytest.raises(InputError) as caught:
        load_run_config(path, ["segmenter.epoch=3", "source.city.train=-5"])
    lines = str(caught.value).splitlines()
    assert "--set: segmenter.epoch: there is no such setting (given: 3); did you mean 'epochs'?" in lines
    assert f"{path}: reprot: there is no such setting; did you mean 'report'?" in lines
    assert any(
        "--set: source.city.train: Input should be greater than or equal to 0" in line for line in lines
    )


def test_settings_reach_the_config() -> None:
    settings = ["segmenter.epochs=3", "evaluate.limit.val=2", "ingest.size=128x256", "report.title=One: two"]
    config = load_run_config(ROOT / "configs/minicity.yaml", settings)
    assert config.segmenter.epochs == 3
    assert config.report.title == "One: two"
    assert config.evaluate.limit == {"train": 32, "val": 2}
    assert config.ingest.size == (128, 256)
    assert parse_splits(["val", "train", "val"]) == ("val", "train")


def test_a_fault_of_ours_has_status_1_and_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "refs", lambda *_: 1 / 0)
    result = CliRunner().invoke(app, ["artifacts", "list", "-w", str(tmp_path)])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "ZeroDivisionError: this is a fault of SegSPADE's; please report it" in result.stderr


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tasks.exporting", None)
    monkeypatch.setattr(Store, "resolve", lambda *_, **__: _raise(ModuleNotFoundError(name="zarr")))
    status, error = error_of("export", "abcd", tmp_path / "out", "-w", tmp_path)
    assert (status, error) == (1, "error: zarr is not installed; `segspade doctor` shows what is missing")


@pytest.mark.parametrize("place", ["workspace/artifacts", None])
def test_a_full_disk_is_told_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str | None
) -> None:
    full = OSError(28, "No space left on device", place)
    monkeypatch.setattr(Store, "resolve", lambda *_, **__: _raise(full))
    status, error = error_of("artifacts", "show", "abcd", "-w", tmp_path)
    assert status == 2
    assert re.fullmatch(
        rf"error: {place or 'a file'}: cannot be written, the disk is full \([\d.]+ [GM]B of [\d.]+ [GM]B are"
        r" free\)\. What is made so far stays: make room .* and run it again",
        error,
    ), error


def _raise(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documented_commands_are_commands(path: Path) -> None:
    """Fault: README names an option that is called otherwise by now."""
    group = typer.main.get_command(app)
    text = path.read_text()
    found = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.S) for line in block.splitlines()]
    found += re.findall(r"`(segspade [^`]*)`", text) + re.findall(r"^    (segspade .*)$", text, re.M)
    assert found or path.suffix == ".yaml" or "::: " in text  # the API has no commands
    for line in found:
        typed = line.strip().removeprefix("$ ").removeprefix(".venv/bin/").removesuffix("\\")
        if typed.startswith("segspade ") and not {"…", "[", "|"} & set(line):
            _parse(group, shlex.split(typed, comments=True)[1:], line)


def _parse(command: Any, words: list[str], line: str) -> None:
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{line}: there is no '{words[0]}'"
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    for word in words:
        if word.startswith("-") and word != "--help":
            assert word.partition("=")[0] in known, f"{line}: there is no option {word}"


def test_commands_are_shown_as_they_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: after `make demo` a newcomer is told to type `segspade`, which is not on PATH."""
    program = tmp_path / ".venv" / "bin" / "segspade"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(program), "demo"])
    monkeypatch.setenv("PATH", "")
    assert summary._program() == ".venv/bin/segspade"
    monkeypatch.setenv("PATH", str(program.parent))
    assert summary._program() == "segspade"


def watched(
    arguments: list[str], **environment: str
) -> tuple[subprocess.CompletedProcess[str], list[str], float]:
    """Run a command that succeeds. Returns what is heavy among the modules it imported, and its seconds."""
    script = (
        "import sys, time, resource\nfrom flows.cli import app\nsys.argv = ['segspade', *sys.argv[1:]]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    status = end.code\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "heavy = {'torch', 'prefect', 'distributed', 'torchvision', 'matplotlib', 'scipy.stats'}\n"
        "print(status, ' '.join(sorted(heavy & set(sys.modules))) or 'none', "
        "used.ru_utime + used.ru_stime, sep=';', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=120,
    )
    status, heavy, seconds = done.stderr.splitlines()[-1].split(";")
    assert status == "0", done.stderr
    return done, [] if heavy == "none" else heavy.split(), float(seconds)


def test_a_segmenter_that_does_not_learn_ends_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a script goes on to train for days what cannot learn one batch."""
    from segspade_core.segmentation.trials import Memorised

    dataset = commit(tmp_path / "workspace", "dataset")
    words = ["train-segmenter", str(dataset), "--sanity", "-w", str(tmp_path / "workspace")]
    for accuracy, status, told in ((0.94, 1, "it was not learned by heart"), (0.96, 0, "it can learn")):
        monkeypatch.setattr(
            "tasks.trials.memorise", lambda *_, right=accuracy: Memorised(200, 3.5, 0.25, right)
        )
        result = CliRunner().invoke(app, words)
        assert (result.exit_code, told in result.stdout) == (status, True), result.output
        assert "one batch, 200 steps: loss 3.5 → 0.25, 9" in result.stdout


@pytest.mark.prefect
class TestReading:
    """Commands that only read, on a real workspace and as a person types them."""

    @pytest.mark.parametrize(
        "words",
        [
            "artifacts list --json",
            "artifacts show segmenter/tiny --json",
            "artifacts lineage report/tiny",
            "artifacts verify scores/tiny",
            "artifacts gc --json",
            "alias list --json",
            "doctor --json",
            "export scores/tiny OUT",
            "export dataset/tiny OUT --split val",
            "submit PREDICTED OUT",
        ],
    )
    def test_they_answer_at_once_without_prefect_or_torch(
        self, made: Path, tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        predicted = Store(made).manifest(Store(made).resolve("scores/tiny")).inputs["val.predicted"]
        words = words.replace("PREDICTED", predicted).replace("OUT", str(tmp_path / "out"))
        done, heavy, seconds = watched([*words.split(), "-w", str(made)])
        assert heavy == [], done.stderr
        # of the processor, as others may use it too: 1.5 s is what a person may wait on an idle machine
        assert seconds < 3
        if "--json" in words:
            json.loads(done.stdout)

    def test_a_run_that_makes_nothing_does_without_torch(
        self, made: Path, tiny_file: Path, prefect_api: str
    ) -> None:
        """Fault: whoever asks what is there already waits as long again for what would make it."""
        done, heavy, _ = watched(["run", str(tiny_file), "-w", str(made)], PREFECT_API_URL=prefect_api)
        assert "\n0 made since the run began" in done.stdout, done.stdout
        assert heavy == ["prefect"]

    def test_a_flipped_byte_is_found_and_has_status_3(self, made: Path, tmp_path: Path) -> None:
        workspace = shutil.copytree(made, tmp_path / "workspace")
        (model,) = workspace.glob("artifacts/segmenter/*/model.safetensors")
        content = bytearray(model.read_bytes())
        content[len(content) // 2] ^= 1
        model.write_bytes(content)
        status, error = error_of("artifacts", "verify", "-w", workspace)
        assert status == 3
        assert f"{model.parent.name}/model.safetensors: altered" in error
        assert "1 problem" in error

    def test_summary_tells_scores_stages_report_and_what_comes_next(
        self, made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from flows.cli.summary import summarise_run

        monkeypatch.setenv("COLUMNS", "160")
        report = Store(made).resolve("report/tiny")
        summarise_run(made, report, "http://127.0.0.1:4200", demo=True)
        text = capsys.readouterr().out
        for words in ("painted true", "train-segmenter", str(Store(made).path(report) / "report.html")):
            assert words in text
        assert "SSIM ↑" in text
        assert "Fréchet by segmenter (not FID) ↓" in text
        assert "FID ↓" not in text.replace("FID) ↓", "")
        assert "FID and KID are left out, as there were no weights of Inception" in text
        assert f"segspade ui --workspace {made}" in text
        assert "http://127.0.0.1:4200" in text
        summarise_run(made, report, "http://127.0.0.1:4200", as_json=True)
        found = json.loads(capsys.readouterr().out)
        assert found["report"] == str(report)
        assert Path(found["page"]).exists()
        assert set(found["scores"]["splits"]) == set(found["scores"]["painting"]) == {"train", "val"}
        assert [stage["stage"] for stage in found["stages"]][-2:] == ["score", "report"]


@pytest.mark.prefect
class TestSegmentersAndPredictions:
    """`compare` and `submit` on a real workspace."""

    def test_a_folder_that_is_not_empty_is_refused(self, made: Path, tmp_path: Path) -> None:
        predicted = Store(made).manifest(Store(made).resolve("scores/tiny")).inputs["val.predicted"]
        (tmp_path / "mine").write_text("mine")
        status, error = error_of("submit", predicted, tmp_path, "-w", made)
        assert (status, f"error: {tmp_path}: there is something already; give" in error) == (2, True)
        status, error = error_of("submit", "segmenter/tiny", tmp_path / "out", "-w", made)
        assert (status, "'segmenter/tiny' is of kind segmenter; this takes label_maps" in error) == (2, True)
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]

    @pytest.mark.parametrize("columns", [80, 120])
    def test_segmenters_fit_the_terminal(
        self, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
    ) -> None:
        """Fault: a column too many, so that keys and numbers are cut; a plot that is not written."""
        monkeypatch.setenv("COLUMNS", str(columns))
        plot = tmp_path / "compare.svg"
        words = ["compare", "segmenter/tiny", "--rounds", "1", "--device", "cpu", "--out", str(plot)]
        printed = CliRunner().invoke(app, [*words, "-w", str(made)])
        assert printed.exit_code == 0, printed.stderr
        assert max(map(len, printed.stdout.splitlines())) <= columns
        assert "…" not in printed.stdout
        for told in (Store(made).resolve("segmenter/tiny").key, "resnet18", "15.93", "at 32x64"):
            assert told in printed.stdout
        assert plot.read_text().startswith("<svg")
        as_json = CliRunner().invoke(app, [*words[:6], "--json", "-w", str(made)])
        (found,) = json.loads(as_json.stdout)["segmenters"]
        scores = json.loads(
            (Store(made).path(Store(made).resolve("scores/tiny")) / "scores.json").read_bytes()
        )
        assert found["scored_miou"] == scores["splits"]["val"]["segmenter"]["ids"]["miou"]
        assert found["names"] == ["tiny"]
        assert found["training_images_per_second"] > 0


@pytest.mark.prefect
def test_a_stage_prints_its_reference_alone(made: Path, prefect_api: str, segspade: Any) -> None:
    """For scripts: `ref=$(segspade segment …)`. The score command takes what is made of a split as it is."""
    names = ["dataset/tiny", "segmenter/tiny", "generator/tiny"]
    none = ["--set", "inception=none", "--set", "lpips=none"]
    done = segspade("score", *names, "--split", "train", "--split", "val", *none, "-w", made, api=prefect_api)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(Store(made).resolve("scores/tiny"))


@pytest.mark.prefect
def test_published_weights_become_an_artifact_and_wrong_ones_a_sentence(
    prefect_api: str, segspade: Any, tmp_path: Path
) -> None:
    """Fault: a traceback, status 1, or a half-made artifact; or a setting of `--set` that goes nowhere."""
    import torch

    from segspade_core.config import GeneratorArchitecture
    from segspade_core.spade import SpadeGenerator

    entries = SpadeGenerator(GeneratorArchitecture(width=2, hidden=3)).state_dict()
    torch.save(entries, tmp_path / "latest_net_G.pth")
    torch.save({**entries, "fc.bias": torch.zeros(5)}, tmp_path / "wrong.pth")
    workspace = tmp_path / "workspace"
    failed = segspade("import-generator", "wrong.pth", "-w", workspace, api=prefect_api)
    assert failed.returncode == 2
    assert "wrong.pth: entry 'fc.bias' has shape 5, the network wants 32; " in failed.stderr
    assert "Traceback" not in failed.stderr
    assert Store(workspace).refs() == []
    done = segspade(
        "import-generator", "latest_net_G.pth", "--set", "upsamplings=5", "-w", workspace, api=prefect_api
    )
    assert done.returncode == 0, done.stderr
    (ref,) = Store(workspace).refs()
    assert done.stdout.strip() == str(ref)
    about = json.loads((Store(workspace).path(ref) / "about.json").read_text())
    assert about["architecture"]["upsamplings"] == 5
    assert about["assumed"] == {"instance_edges": True}


def test_a_server_that_went_away_is_said_to_have(capsys: pytest.CaptureFixture[str]) -> None:
    """Fault: a traceback, and the user is asked to report a fault of SegSPADE's."""
    with pytest.raises(typer.Exit) as ended, reporting_errors():
        raise httpx.ConnectError("All connection attempts failed")
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == (
        "error: the Prefect server went away (ConnectError); start it, and run the same again to go on\n"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InputError("caf\udce9/\x1b[2J.png: is empty"), "caf\\udce9/\\x1b[2J.png: is empty"),
        (OSError(5, "Input/output error", "a.png"), "a.png: Input/output error; mend that and run it again"),
    ],
)
def test_whatever_is_told_can_be_printed(
    error: Exception, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault: a name that clears the screen or cannot be encoded; a failing disk that is called our fault."""
    with pytest.raises(typer.Exit) as ended, reporting_errors():
        raise error
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == f"error: {told}\n"
