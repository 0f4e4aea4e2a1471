"""Options that several commands share, and settings read from YAML and from --set."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from pydantic import BaseModel, ValidationError

from flows.cli.validation import OPTIONS, validation_message
from segspade_core.config import RunConfig, Split
from segspade_core.config.yaml_file import MAX_BYTES, read_mapping, read_value
from segspade_core.errors import InputError, printable
from storage.errors import StorageError
from storage.mirror import REMOTE, mirror_in
from storage.places import workspace_path

WORKSPACE = Path("workspace")


def named_workspace(path: str | Path) -> Path:
    """The folder of a workspace that was typed as an option: of a URL, its mirror."""
    # an empty name, as of a shell's variable that is not set, would be the folder one happens to be in
    if not str(path).strip():
        raise typer.BadParameter("an empty name; leave the option out for the folder 'workspace'")
    try:
        return workspace_path(path)
    except StorageError as error:
        raise typer.BadParameter(str(error)) from error


WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace",
        "-w",
        envvar="SEGSPADE_WORKSPACE",
        help="folder of artifacts and runs, or a URL such as s3://bucket/prefix",
        parser=named_workspace,
        metavar="PATH",
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="show Prefect's log as well")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="change one setting, such as segmenter.epochs=5; repeatable"
    ),
]

StageSetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change one setting of the stage; repeatable"),
]

Model = TypeVar("Model", bound=BaseModel)


def load_run_config(path: Path, settings: Sequence[str]) -> RunConfig:
    """One run's YAML with single settings changed.

    Raises:
        InputError: the file is missing or no YAML, or a setting is unknown or out of range; says which.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path}: cannot be read ({why}); give a YAML file such as configs/minicity.yaml"
        ) from error
    document = read_mapping(content, str(path))
    typed = {setting.partition("=")[0] for setting in settings}
    return _validate(RunConfig, _with_settings(document, settings), str(path), typed)


def read_settings(model: type[Model], settings: Sequence[str] | None, **fixed: Any) -> Model:
    """A stage's config from KEY=VALUE settings and `fixed` values alone; the rest has its default."""
    typed = {setting.partition("=")[0] for setting in settings or []}
    return _validate(model, {**_with_settings({}, settings or []), **fixed}, "", typed)


def config_of_options(model: type[Model], **values: Any) -> Model:
    """A stage's config from the options of a command, whose names are those of its fields.

    Raises:
        InputError: a value is out of range; says which option.
    """
    return _validate(model, values, OPTIONS)


def parse_splits(names: Sequence[str]) -> tuple[Split, ...]:
    """Splits as typed after `--split`, each once, in the order given.

    Raises:
        InputError: there is no such split.
    """
    unknown = [name for name in names if name not in get_args(Split)]
    if unknown:
        raise InputError(f"--split {unknown[0]}: there is no such split; there are train, val and test")
    return tuple(dict.fromkeys(names))  # type: ignore[arg-type]


def existing_workspace(workspace: Path, option: str = "--workspace") -> Path:
    """The workspace of a command that reads.

    Raises:
        InputError: it is not there, or is a folder of something else.
    """
    _check_bucket(workspace)
    if not workspace.is_dir() or not _may_be_workspace(workspace):
        raise InputError(
            f"{workspace}: there is no workspace; name another with {option}, or make one: `segspade demo`"
        )
    return workspace


def _check_bucket(workspace: Path) -> None:
    if (mirror := mirror_in(workspace)) is not None:
        mirror.check()


def _may_be_workspace(folder: Path) -> bool:
    """Whether it holds what a workspace holds, or nothing at all."""
    found = {path.name for path in folder.iterdir()}
    return not found or not found.isdisjoint({"artifacts", "staging", "aliases", ".prefect", REMOTE})


def workspace_for_writing(workspace: Path, option: str = "--workspace") -> Path:
    """The workspace of a command that makes something, made when missing; absolute.

    Raises:
        InputError: it is a file, or cannot be written.
    """
    _check_bucket(workspace)
    try:
        place = workspace.expanduser().absolute()
        place.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else "there is no such home"
        why = "it is a file" if isinstance(error, FileExistsError) else why
        raise InputError(
            f"{workspace}: no workspace can be made there ({why}); give another with {option}"
        ) from error
    return place


def _with_settings(document: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    for setting in settings:
        name, equals, value = setting.partition("=")
        shown = printable(setting)
        if not equals or not all(name.split(".")):
            raise InputError(f"--set {shown}: not KEY=VALUE, such as segmenter.epochs=5")
        at = document
        *parents, last = name.split(".")
        for parent in parents:
            at = at.setdefault(parent, {})
            if not isinstance(at, dict):
                raise InputError(
                    f"--set {shown}: '{printable(parent)}' is a single value and has no settings of its own"
                )
        parsed = read_value(value, f"--set {shown}")
        # "A title: with a colon" is a mapping to YAML, and words to whoever typed it
        at[last] = value if isinstance(parsed, dict) and not value.lstrip().startswith("{") else parsed
    return document


def _validate(model: type[Model], document: dict[str, Any], where: str, typed: Collection[str] = ()) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InputError(validation_message(error, where, typed, model)) from error


def print_json(value: Any) -> None:
    """JSON on standard output, for programs."""
    typer.echo(json.dumps(value, indent=2))
