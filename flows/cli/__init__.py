"""`segspade`: the command line. Prefect and torch are imported only by the commands that run flows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from flows.cli import artifacts as artifact_commands
from flows.cli import doctor as doctor_command
from flows.cli.errors import reporting_errors
from flows.cli.options import (
    JsonOption,
    SetOption,
    VerboseOption,
    WorkspaceOption,
    load_run_config,
    read_settings,
)

app = typer.Typer(
    name="segspade",
    help="Street photographs into label maps, and label maps back into photographs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(artifact_commands.artifacts, name="artifacts")
app.add_typer(artifact_commands.alias, name="alias")
app.command(name="export")(artifact_commands.export)
app.command(name="doctor")(doctor_command.doctor)

Journey = "The whole journey"
Stages = "One stage"
DEMO_CONFIG = "minicity.yaml"


@app.command(rich_help_panel=Journey)
def demo(workspace: WorkspaceOption = Path("workspace"), verbose: VerboseOption = False) -> None:
    """Draw a city, learn to segment it, paint it back and report; minutes on two cores."""
    from flows.cli.summary import shipped_config

    with reporting_errors():
        _run(load_run_config(shipped_config(DEMO_CONFIG), []), workspace, verbose, demo=True)


@app.command(rich_help_panel=Journey)
def run(
    config: Annotated[Path, typer.Argument(help="YAML file of one whole run, such as configs/camvid.yaml")],
    settings: SetOption = None,
    workspace: WorkspaceOption = Path("workspace"),
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Run everything that CONFIG asks for; what is made already is used."""
    with reporting_errors():
        _run(load_run_config(config, settings or []), workspace, verbose, as_json=json)


def _run(config: Any, workspace: Path, verbose: bool, as_json: bool = False, demo: bool = False) -> None:
    from flows.cli.summary import summarise_run
    from flows.server import serving

    console = Console(stderr=True)
    with serving(workspace, console.print, verbose) as server:
        from flows.pipeline import pipeline

        report = pipeline(config, workspace.absolute())
        summarise_run(workspace, report, server.ui, as_json=as_json, demo=demo)


@app.command(rich_help_panel=Stages)
def minicity(
    out: Annotated[Path, typer.Argument(help="folder to draw into; made when missing")],
    train: Annotated[int, typer.Option(help="frames of the train split")] = 160,
    val: Annotated[int, typer.Option(help="frames of the val split")] = 32,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels")] = "256x512",
    seed: Annotated[int, typer.Option(help="same seed, same bytes")] = 0,
) -> None:
    """Draw a Minicity into a folder, in the official Cityscapes layout."""
    from segspade_core.config import MinicityConfig
    from tasks.minicity_folder import draw_folder

    with reporting_errors():
        config = MinicityConfig.model_validate({"train": train, "val": val, "size": size, "seed": seed})
        draw_folder(config, out)
        Console().print(f"drew {train} train and {val} val frames into {out}", highlight=False)


@app.command(rich_help_panel=Stages)
def ingest(
    source: Annotated[Path, typer.Argument(help="folder of the dataset, or one that holds its zip files")],
    layout: Annotated[str, typer.Option(help="cityscapes, camvid or minicity")],
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH to store everything at")],
    split: Annotated[list[str] | None, typer.Option(help="train, val or test; repeat for several")] = None,
    annotation: Annotated[str, typer.Option(help="fine, or coarse with train_extra")] = "fine",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave out files with problems")] = False,
    workspace: WorkspaceOption = Path("workspace"),
    verbose: VerboseOption = False,
) -> None:
    """Photographs and label maps → a dataset."""
    from segspade_core.config import IngestConfig

    with reporting_errors():
        config = IngestConfig.model_validate(
            {
                "layout": layout,
                "size": size,
                "splits": split or ("train", "val"),
                "annotation": annotation,
                "skip_bad": skip_bad,
            }
        )
        _stage("ingest", workspace, verbose, source.expanduser(), config)


@app.command(name="train-segmenter", rich_help_panel=Stages)
def train_segmenter(
    dataset: Annotated[str, typer.Argument(help="key or alias of a dataset")],
    settings: SetOption = None,
    workspace: WorkspaceOption = Path("workspace"),
    verbose: VerboseOption = False,
) -> None:
    """A dataset → a segmenter. Settings are those of `segmenter:` in a run's YAML, such as --set epochs=5."""
    from segspade_core.config import SegmenterConfig

    with reporting_errors():
        config = read_settings(SegmenterConfig, settings)
        _stage("train_segmenter", workspace, verbose, _ref(workspace, dataset, "dataset"), config)


@app.command(name="train-generator", rich_help_panel=Stages)
def train_generator(
    dataset: Annotated[str, typer.Argument(help="key or alias of a dataset")],
    settings: SetOption = None,
    workspace: WorkspaceOption = Path("workspace"),
    verbose: VerboseOption = False,
) -> None:
    """A dataset → a SPADE generator. Settings are those of `generator:` in a run's YAML."""
    from segspade_core.config import GeneratorConfig

    with reporting_errors():
        config = read_settings(GeneratorConfig, settings)
        _stage("train_generator", workspace, verbose, _ref(workspace, dataset, "dataset"), config)


@app.command(name="import-generator", rich_help_panel=Stages)
def import_generator(
    weights: Annotated[str, typer.Argument(help="'shipped:minicity', or a .safetensors or .pth file")],
    settings: SetOption = None,
    workspace: WorkspaceOption = Path("workspace"),
    verbose: VerboseOption = False,
) -> None:
    """Weights trained elsewhere → a SPADE generator."""
    from segspade_core.config import GeneratorImportConfig

    with reporting_errors():
        config = read_settings(GeneratorImportConfig, [*(settings or []), f"weights={weights}"])
        _stage("import_generator", workspace, verbose, config)


@app.command(rich_help_panel=Stages)
def segment(
    segmenter: Annotated[str, typer.Argument(help="key or alias of a segmenter")],
    images: Annotated[str, typer.Argument(help="key or alias of a dataset, or of painted images")],
    split: Annotated[str, typer.Option(help="train, val or test")] = "val",
    limit: Annotated[int | None, typer.Option(help="only the first so many samples")] = None,
    workspace: WorkspaceOption = Path("workspace"),
    verbose: VerboseOption = False,
) -> None:
    """Photographs, or painted images, of a split → label maps."""
    from segspade_core.config import SegmentConfig

    with reporting_errors():
        config = SegmentConfig.model_validate({"split": split, "limit": limit})
        refs = _ref(workspace, segmenter, "segmenter"), _ref(workspace, images, "dataset", "images")
        _stage("segment", workspace, verbose, *refs, config)


@app.command(rich_help_panel=Stages)
def synthesize(
    generator: Annotated[str, typer.Argument(help="key or alias of a generator")],
    label_maps: Annotated[str, typer.Argument(help="key or alias of a dataset, or of predicted label maps")],
    split: Annotated[str, typer.Option(help="train, val or test")] = "val",
    limit: Annotated[int | None, typer.Option(help="only the first so many samples")] = None,
    workspace: WorkspaceOption = Path("workspace"),
    verbose: VerboseOption = False,
) -> None:
    """True or predicted label maps of a split → painted images."""
    from segspade_core.config import SynthesizeConfig

    with reporting_errors():
        config = SynthesizeConfig.model_validate({"split": split, "limit": limit})
        refs = _ref(workspace, generator, "generator"), _ref(workspace, label_maps, "dataset", "label_maps")
        _stage("synthesize", workspace, verbose, *refs, config)


@app.command(rich_help_panel=Stages)
def score(
    dataset: Annotated[str, typer.Argument(help="key or alias of a dataset")],
    segmenter: Annotated[str, typer.Argument(help="key or alias of a segmenter")],
    generator: Annotated[str, typer.Argument(help="key or alias of a generator")],
    split: Annotated[list[str] | None, typer.Option(help="train, val or test; repeat for several")] = None,
    limit: Annotated[int | None, typer.Option(help="only the first so many samples of each split")] = None,
    workspace: WorkspaceOption = Path("workspace"),
    verbose: VerboseOption = False,
) -> None:
    """Everything that segment and synthesize make of some splits → scores. What is missing is made first."""
    from flows.cli.options import parse_splits

    with reporting_errors():
        splits = parse_splits(split or ["val"])
        refs = (
            _ref(workspace, dataset, "dataset"),
            _ref(workspace, segmenter, "segmenter"),
            _ref(workspace, generator, "generator"),
        )
        _stage("cycle", workspace, verbose, *refs, splits, {name: limit for name in splits if limit})


@app.command(rich_help_panel=Stages)
def report(
    scores: Annotated[str, typer.Argument(help="key or alias of scores")],
    settings: SetOption = None,
    workspace: WorkspaceOption = Path("workspace"),
    verbose: VerboseOption = False,
) -> None:
    """Scores, and all they were made from → one page to read."""
    from segspade_core.config import ReportConfig

    with reporting_errors():
        _stage(
            "report",
            workspace,
            verbose,
            _ref(workspace, scores, "scores"),
            read_settings(ReportConfig, settings),
        )


def _stage(name: str, workspace: Path, verbose: bool, *arguments: Any) -> None:
    """Run the flow of one stage, and say what it made: the reference alone on standard output."""
    from flows.server import serving

    with serving(workspace, Console(stderr=True).print, verbose):
        from flows import stages

        ref = getattr(stages, name)(*arguments, workspace=workspace.absolute())
    typer.echo(str(ref))


def _ref(workspace: Path, text: str, *kinds: str) -> Any:
    """The artifact that `text` names: a key, the beginning of one, or an alias, of one of `kinds`."""
    from storage.store import Store

    return Store(workspace).resolve(text, kinds=kinds)


@app.command(rich_help_panel=Journey)
def ui(
    workspace: WorkspaceOption = Path("workspace"),
    browser: Annotated[bool, typer.Option(help="open it in a browser")] = True,
    stop: Annotated[bool, typer.Option("--stop", help="end the workspace's server instead")] = False,
) -> None:
    """Show the runs of this workspace in the Prefect UI, until Ctrl-C."""
    from flows.server import serving, stop_server

    console = Console(stderr=True)
    with reporting_errors():
        if stop:
            console.print(
                "server ended" if stop_server(workspace) else "no server of this workspace is running"
            )
            return
        with serving(workspace, console.print) as server:
            console.print(f"Prefect UI: [link={server.ui}]{server.ui}[/link]   (Ctrl-C to leave)")
            if browser and sys.stdout.isatty():
                typer.launch(server.ui)
            try:
                import time

                while True:
                    time.sleep(3600)
            except KeyboardInterrupt:
                console.print("left; the server ends itself when nobody uses it for a quarter of an hour")
