"""`segspade`: the command line. Prefect and torch are imported only by the commands that run flows."""

from __future__ import annotations

import typer

from flows.cli import (
    aliases,
    artifacts,
    comparing,
    cycling,
    doctor,
    journey,
    moving,
    service,
    stage_commands,
    studio,
    submitting,
    tidying,
    trials,
    trying,
    upkeep,
)

app = typer.Typer(
    name="segspade",
    help="Street photographs into label maps, and label maps back into photographs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (journey.demo, journey.run, journey.retrain, journey.ui):
    app.command(rich_help_panel="The whole journey")(command)
for command in (
    stage_commands.minicity,
    stage_commands.ingest,
    trials.find_lr,
    stage_commands.train_segmenter,
    stage_commands.train_generator,
    stage_commands.import_generator,
    stage_commands.segment,
    stage_commands.synthesize,
    stage_commands.score,
    cycling.cycle,
    stage_commands.report,
):
    app.command(rich_help_panel="One stage")(command)
app.command("try", rich_help_panel="One picture")(trying.try_)
app.command(rich_help_panel="One picture")(studio.studio)
for command in (service.deploy, service.worker, tidying.tidy):
    app.command(rich_help_panel="By itself")(command)
app.command(rich_help_panel="What there is")(artifacts.export)
app.command(rich_help_panel="What there is")(moving.push)
app.command(rich_help_panel="What there is")(moving.pull)
app.command(rich_help_panel="What there is")(comparing.compare)
app.command(rich_help_panel="What there is")(submitting.submit)
app.command(rich_help_panel="What there is")(doctor.doctor)
app.add_typer(upkeep.artifacts, name="artifacts", rich_help_panel="What there is")
app.add_typer(aliases.alias, name="alias", rich_help_panel="What there is")
