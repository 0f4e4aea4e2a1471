"""`segspade find-lr`, and `train-segmenter --sanity`: trainings that make no artifact. Need no Prefect."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.errors import reporting_errors
from flows.cli.options import (
    WORKSPACE,
    JsonOption,
    StageSetOption,
    WorkspaceOption,
    config_of_options,
    existing_workspace,
    print_json,
    read_settings,
)
from segspade_core.config import RuntimeConfig, SegmenterConfig
from segspade_core.errors import InputError
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store

SANITY_STEPS = 200


def find_lr(
    dataset: Annotated[str, typer.Argument(help="key or alias of a dataset")],
    settings: StageSetOption = None,
    steps: Annotated[int, typer.Option(min=10, help="at most, each at a higher rate")] = 100,
    out: Annotated[Path | None, typer.Option(help="write a plot too, as .svg")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Try learning rates on a dataset: rising from step to step, until the segmenter's loss is lost.

    Settings are those of `train-segmenter`. The rate that is suggested is where the loss falls steepest.
    """
    with reporting_errors(goes_on=False):
        if out is not None and out.suffix != ".svg":
            raise InputError(f"--out {out}: the plot is written as SVG; give a name that ends in .svg")
        config = read_settings(SegmenterConfig, settings)
        runtime = config_of_options(RuntimeConfig, device=device)
        found = _dataset(workspace, dataset)
        from segspade_core.figures.rates import rates_plot
        from segspade_core.figures.svg import standalone
        from tasks.trials import try_rates

        tried = try_rates(workspace, found, config, runtime, steps)
        if out is not None:
            put_bytes(out, standalone(rates_plot(tried.rates, tried.losses, tried.suggested)).encode())
        if json:
            print_json(asdict(tried))
            return
        console = Console(highlight=False, soft_wrap=True)
        if not tried.rates:
            console.print("the loss was lost at the first step: no rate of this range will do")
            return
        console.print(f"{len(tried.rates)} steps, rates {tried.rates[0]:.1e} to {tried.rates[-1]:.1e}")
        if tried.suggested is None:
            console.print("the loss never fell: more steps, or other settings, may show where it does")
        else:
            console.print(f"the loss falls steepest at {tried.suggested:.1e}")
            console.print(f"to train with it  --set optimiser.lr={tried.suggested:.1e}")


def check_sanity(workspace: Path, dataset: ArtifactRef, config: SegmenterConfig) -> None:
    """Train on one batch until it is known by heart; exit status 1 if it never is."""
    from tasks.trials import memorise

    result = memorise(workspace, dataset, config, RuntimeConfig(), SANITY_STEPS)
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"one batch, {result.steps} steps: loss {result.first_loss:.3g} → {result.last_loss:.3g}, "
        f"{result.pixel_accuracy:.1%} of its pixels right"
    )
    if not result.learned:
        console.print(
            "it was not learned by heart, as any segmenter should: a higher optimiser.lr (segspade find-lr), "
            "other labels or another loss may be what is missing"
        )
        raise typer.Exit(1)
    console.print("it can learn: model, loss and labels belong together")


def _dataset(workspace: Path, name: str) -> ArtifactRef:
    return Store(existing_workspace(workspace)).resolve(name, kinds=("dataset",))
