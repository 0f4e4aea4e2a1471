"""Options that several commands share, and settings read from YAML and from --set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import yaml
from pydantic import BaseModel, ValidationError

from segspade_core.config import RunConfig
from segspade_core.errors import InputError

WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", "-w", envvar="SEGSPADE_WORKSPACE", help="folder of artifacts and runs"),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="show Prefect's log as well")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="change one setting, such as segmenter.epochs=5; repeatable"
    ),
]

Model = TypeVar("Model", bound=BaseModel)


def load_run_config(path: Path, settings: Sequence[str]) -> RunConfig:
    """One run's YAML with single settings changed.

    Raises:
        InputError: the file is missing or no YAML, or a setting is unknown or out of range; says which.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a YAML file such as configs/minicity.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: a run is a mapping of settings, as in configs/minicity.yaml")
    return _validate(RunConfig, _with_settings(document, settings), str(path))


def read_settings(model: type[Model], settings: Sequence[str] | None) -> Model:
    """A stage's config from KEY=VALUE settings alone; the rest has its default."""
    return _validate(model, _with_settings({}, settings or []), "--set")


def _with_settings(document: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not all(name.split(".")):
            raise InputError(f"--set {setting}: not KEY=VALUE, such as segmenter.epochs=5")
        at = document
        *parents, last = name.split(".")
        for parent in parents:
            at = at.setdefault(parent, {})
            if not isinstance(at, dict):
                raise InputError(
                    f"--set {setting}: '{parent}' is a single value and has no settings of its own"
                )
        try:
            at[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {setting}: the value cannot be read ({error})") from error
    return document


def _validate(model: type[Model], document: dict[str, Any], where: str) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InputError(validation_message(error, where)) from error


def validation_message(error: ValidationError, where: str) -> str:
    """One line for each setting that is wrong: where, which, what, and what it was."""
    lines = []
    for problem in error.errors():
        # the tag of a union's member says nothing to who wrote the file
        place = ".".join(
            str(part)
            for part in problem["loc"]
            if part not in ("path", "minicity", "train", "import") or part == problem["loc"][-1]
        )
        given = problem["input"]
        shown = f" (given: {given!r})" if not isinstance(given, dict) else ""
        what = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            what = "there is no such setting"
        lines.append(f"{where}: {place + ': ' if place else ''}{what}{shown}")
    return "\n".join(lines)
