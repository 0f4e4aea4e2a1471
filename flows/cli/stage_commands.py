"""A command per stage: each takes artifacts by key or alias, and prints the reference of what it made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from flows.cli.errors import reporting_errors
from flows.cli.options import (
    WORKSPACE,
    StageSetOption,
    VerboseOption,
    WorkspaceOption,
    config_of_options,
    existing_workspace,
    parse_splits,
    read_settings,
    workspace_for_writing,
)
from flows.cli.trials import check_sanity
from segspade_core.config import (
    EvaluateConfig,
    GeneratorConfig,
    GeneratorImportConfig,
    IngestConfig,
    LookConfig,
    MinicityConfig,
    QualityConfig,
    ReportConfig,
    ScoreConfig,
    SegmentConfig,
    SegmenterConfig,
    SynthesizeConfig,
)
from segspade_core.errors import InputError
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.inputs import generator_weights, quality_weights, source_place

SplitOption = Annotated[str, typer.Option(help="train, val or test")]
SplitsOption = Annotated[list[str] | None, typer.Option(help="train, val or test; repeat for several")]
ConfidenceOption = Annotated[
    bool, typer.Option("--confidence", help="keep how sure the segmenter is, for a reliability plot")
]
WindowsOption = Annotated[
    str | None,
    typer.Option(metavar="HEIGHTxWIDTH", help="see large photographs through windows of this size"),
]
OverlapOption = Annotated[
    float | None,
    typer.Option(min=0, max=0.75, help="least share of a window that it has in common with the next [0.25]"),
]
FlipOption = Annotated[bool, typer.Option("--flip", help="average with a look at the mirrored photograph")]
ScalesOption = Annotated[
    str | None,
    typer.Option(metavar="FACTOR,…", help="sizes to look at and average over, 1 for the photograph's own"),
]
LimitOption = Annotated[int | None, typer.Option(help="only the first so many samples of a split")]


def minicity(
    out: Annotated[Path, typer.Argument(help="folder to draw into; made when missing")],
    train: Annotated[int, typer.Option(help="frames of the train split")] = 160,
    val: Annotated[int, typer.Option(help="frames of the val split")] = 32,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels")] = "256x512",
    seed: Annotated[int, typer.Option(help="same seed, same bytes")] = 0,
) -> None:
    """Draw a Minicity into a folder, in the official Cityscapes layout."""
    with reporting_errors():
        config = config_of_options(MinicityConfig, train=train, val=val, size=size, seed=seed)
        from tasks.minicity_folder import draw_folder

        draw_folder(config, out)
        Console().print(f"drew {train} train and {val} val frames into {out}", highlight=False)


def ingest(
    source: Annotated[Path, typer.Argument(help="folder of the dataset, or one that holds its zip files")],
    layout: Annotated[str, typer.Option(help="cityscapes, camvid or minicity")],
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH to store everything at")],
    split: SplitsOption = None,
    annotation: Annotated[str, typer.Option(help="fine, or coarse with train_extra")] = "fine",
    full_size_maps: Annotated[
        bool, typer.Option(help="keep true maps at their own size too, for official scores")
    ] = True,
    codec: Annotated[str, typer.Option(help="fast to read, small on disk, or raw")] = "fast",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave out files with problems")] = False,
    onto: Annotated[
        str | None, typer.Option(help="an earlier dataset of this source: only what is new is read")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
) -> None:
    """Photographs and label maps → a dataset."""
    with reporting_errors():
        place = source_place(source)
        earlier = None if onto is None else _ref(workspace, onto, "dataset")
        config = config_of_options(
            IngestConfig,
            layout=layout,
            size=size,
            splits=parse_splits(split or ["train", "val"]),
            annotation=annotation,
            full_size_maps=full_size_maps,
            codec=codec,
            skip_bad=skip_bad,
        )
        _make(lambda stages: partial(stages.ingest, earlier=earlier), workspace, verbose, place, config)


def train_segmenter(
    dataset: Annotated[str, typer.Argument(help="key or alias of a dataset")],
    settings: StageSetOption = None,
    sanity: Annotated[
        bool, typer.Option("--sanity", help="only see that it learns one batch by heart; nothing is kept")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
) -> None:
    """A dataset → a segmenter. Settings are those of `segmenter:` in a run's YAML, such as --set epochs=5."""
    with reporting_errors(goes_on=not sanity):
        config = read_settings(SegmenterConfig, settings)
        found = _ref(workspace, dataset, "dataset")
        if sanity:
            check_sanity(workspace, found, config)
            return
        _make(lambda stages: stages.train_segmenter, workspace, verbose, found, config)


def train_generator(
    dataset: Annotated[str, typer.Argument(help="key or alias of a dataset")],
    settings: StageSetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
) -> None:
    """A dataset → a SPADE generator. Settings are those of `generator:` in a run's YAML."""
    with reporting_errors():
        config = read_settings(GeneratorConfig, settings)
        found = _ref(workspace, dataset, "dataset")
        _make(lambda stages: stages.train_generator, workspace, verbose, found, config)


def import_generator(
    weights: Annotated[str, typer.Argument(help="'shipped:minicity', or a .safetensors or .pth file")],
    settings: StageSetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
) -> None:
    """Weights trained elsewhere → a SPADE generator.

    Settings say what the shapes in a published file leave open: --set instance_edges=false,
    --set upsamplings=5 ('normal' of the published code; 6 is 'more'), --set linear_head=[4,8]. With
    --set generator.width=32 and the like the whole shape of the network is given instead.
    """
    with reporting_errors():
        config = read_settings(GeneratorImportConfig, settings, weights=weights)
        generator_weights(weights)
        _make(lambda stages: stages.import_generator, workspace, verbose, config)


def segment(
    segmenter: Annotated[str, typer.Argument(help="key or alias of a segmenter")],
    images: Annotated[str, typer.Argument(help="key or alias of a dataset, or of painted images")],
    split: SplitOption = "val",
    limit: LimitOption = None,
    windows: WindowsOption = None,
    overlap: OverlapOption = None,
    flip: FlipOption = False,
    scales: ScalesOption = None,
    confidence: ConfidenceOption = False,
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
) -> None:
    """Photographs, or painted images, of a split → label maps."""
    with reporting_errors():
        config = config_of_options(
            SegmentConfig,
            split=split,
            limit=limit,
            confidence=confidence,
            **_look(windows, overlap, flip, scales),
        )
        refs = _ref(workspace, segmenter, "segmenter"), _ref(workspace, images, "dataset", "images")
        _make(lambda stages: stages.segment, workspace, verbose, *refs, config)


def synthesize(
    generator: Annotated[str, typer.Argument(help="key or alias of a generator")],
    label_maps: Annotated[str, typer.Argument(help="key or alias of a dataset, or of predicted label maps")],
    split: SplitOption = "val",
    limit: LimitOption = None,
    style: Annotated[str, typer.Option(help="mean, sample:SEED, or image:ID of a photograph")] = "mean",
    city: Annotated[str | None, typer.Option(help="one the generator knows; else each frame's own")] = None,
    time_of_day: Annotated[str | None, typer.Option(help="likewise, such as night")] = None,
    method: Annotated[str, typer.Option(help="fast, or dense: the network as published")] = "fast",
    precision: Annotated[str, typer.Option(help="fp32 or bf16")] = "fp32",
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
) -> None:
    """True or predicted label maps of a split → painted images."""
    with reporting_errors():
        config = config_of_options(
            SynthesizeConfig,
            split=split,
            limit=limit,
            style=style,
            city=city,
            time_of_day=time_of_day,
            method=method,
            precision=precision,
        )
        refs = _ref(workspace, generator, "generator"), _ref(workspace, label_maps, "dataset", "label_maps")
        _make(lambda stages: stages.synthesize, workspace, verbose, *refs, config)


def score(
    dataset: Annotated[str, typer.Argument(help="key or alias of a dataset")],
    segmenter: Annotated[str, typer.Argument(help="key or alias of a segmenter")],
    generator: Annotated[str, typer.Argument(help="key or alias of a generator")],
    split: SplitsOption = None,
    limit: LimitOption = None,
    windows: WindowsOption = None,
    overlap: OverlapOption = None,
    flip: FlipOption = False,
    scales: ScalesOption = None,
    confidence: ConfidenceOption = False,
    resolution: Annotated[
        str, typer.Option(help="compare at the size of the true maps: label, or of the predicted: network")
    ] = "label",
    settings: StageSetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
) -> None:
    """Everything that segment and synthesize make of some splits → scores. What is missing is made first.

    Settings say how the quality of painting is measured, such as --set inception=FILE.
    """
    with reporting_errors():
        splits = parse_splits(split or ["val"])
        limits = {} if limit is None else dict.fromkeys(splits, limit)
        look = config_of_options(LookConfig, **_look(windows, overlap, flip, scales))
        config = config_of_options(
            EvaluateConfig, splits=splits, limit=limits, confidence=confidence, look=look
        )
        scored = config_of_options(ScoreConfig, splits=splits, resolution=resolution)
        quality = read_settings(QualityConfig, settings)
        quality_weights(quality)
        refs = (
            _ref(workspace, dataset, "dataset"),
            _ref(workspace, segmenter, "segmenter"),
            _ref(workspace, generator, "generator"),
        )

        def cycle(_stages: Any) -> Any:
            from flows.cycle import cycle

            return partial(cycle, quality=quality, resolution=scored.resolution)

        _make(cycle, workspace, verbose, *refs, config)


def report(
    scores: Annotated[str, typer.Argument(help="key or alias of scores")],
    settings: StageSetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    verbose: VerboseOption = False,
) -> None:
    """Scores, and all they were made from → one page to read."""
    with reporting_errors():
        config = read_settings(ReportConfig, settings)
        found = _ref(workspace, scores, "scores")
        made = _make(lambda stages: stages.report, workspace, verbose, found, config)
        Console(stderr=True, soft_wrap=True).print(Store(workspace).path(made), highlight=False)


def _look(windows: str | None, overlap: float | None, flip: bool, scales: str | None) -> dict[str, Any]:
    """Settings of `LookConfig` from options; what was not given is left out."""
    look: dict[str, Any] = {"flip": flip}
    if windows is not None:
        look["windows"] = {"size": windows} if overlap is None else {"size": windows, "overlap": overlap}
    elif overlap is not None:
        raise InputError("--overlap: there are no windows to overlap; give their size with --windows")
    if scales is not None:
        look["scales"] = scales.split(",")
    return look


def _make(pick: Callable[[Any], Any], workspace: Path, verbose: bool, *arguments: Any) -> ArtifactRef:
    """Run one flow, and say what it made: the reference alone on standard output.

    Args:
        pick: of `flows.stages`, which is imported only now, once Prefect is set up for the workspace.
        workspace: as the user gave it.
        verbose: show Prefect's log too.
        *arguments: of the flow.
    """
    from flows.server import serving

    place = workspace_for_writing(workspace)
    with serving(place, Console(stderr=True).print, verbose):
        from flows import stages

        ref: ArtifactRef = pick(stages)(*arguments, workspace=place)
    typer.echo(str(ref))
    return ref


def _ref(workspace: Path, text: str, *kinds: str) -> ArtifactRef:
    """The artifact that `text` names: a key, the beginning of one, or an alias, of one of `kinds`."""
    return Store(existing_workspace(workspace)).resolve(text, kinds=kinds)
