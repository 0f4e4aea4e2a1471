"""Options that several commands share, and settings read from YAML and from --set."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
import yaml
from pydantic import BaseModel, ValidationError

from segspade_core.config import RunConfig, Split
from segspade_core.errors import InputError

WORKSPACE = Path("workspace")


def _named(path: str | Path) -> Path:
    # an empty name, as of a shell's variable that is not set, would be the folder one happens to be in
    if not str(path).strip():
        raise typer.BadParameter("an empty name; leave the option out for the folder 'workspace'")
    return Path(path)


WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace",
        "-w",
        envvar="SEGSPADE_WORKSPACE",
        help="folder of artifacts and runs",
        parser=_named,
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
OPTIONS = "options"  # where settings came from that were not written down anywhere
# how pydantic names the kind of a setting among its parents, where a person wrote none
_TAGS = (
    *("path", "minicity", "train", "import", "patch", "unet", "encoder"),
    *("adam", "adamw", "sgd", "constant", "poly", "cosine", "one_cycle"),
    *("cross_entropy", "focal", "ohem", "dice", "lovasz"),
)


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


def existing_workspace(workspace: Path) -> Path:
    """The workspace of a command that reads.

    Raises:
        InputError: it is not there, or is a folder of something else.
    """
    if not workspace.is_dir() or not _may_be_workspace(workspace):
        raise InputError(
            f"{workspace}: there is no workspace; name another with --workspace, or make one: `segspade demo`"
        )
    return workspace


def _may_be_workspace(folder: Path) -> bool:
    """Whether it holds what a workspace holds, or nothing at all."""
    found = {path.name for path in folder.iterdir()}
    return not found or not found.isdisjoint({"artifacts", "staging", "aliases", ".prefect"})


def workspace_for_writing(workspace: Path) -> Path:
    """The workspace of a command that makes something, made when missing; absolute.

    Raises:
        InputError: it is a file, or cannot be written.
    """
    place = workspace.expanduser().absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{workspace}: no workspace can be made there ({error.strerror}); give another with --workspace"
        ) from error
    return place


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
            parsed = yaml.safe_load(value)
            # "A title: with a colon" is a mapping to YAML, and words to whoever typed it
            at[last] = value if isinstance(parsed, dict) and not value.lstrip().startswith("{") else parsed
        except yaml.YAMLError as error:
            raise InputError(f"--set {setting}: the value cannot be read ({error})") from error
    return document


def _validate(model: type[Model], document: dict[str, Any], where: str, typed: Collection[str] = ()) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InputError(validation_message(error, where, typed)) from error


def validation_message(error: ValidationError, where: str, typed: Collection[str] = ()) -> str:
    """One line for each setting that is wrong: where, which, what, and what it was.

    Args:
        where: file or option that the settings come from.
        typed: settings that were given with --set instead.
    """
    lines = []
    places = [problem["loc"] for problem in error.errors()]
    for problem in error.errors():
        # of a list with a wrong member it is said as well that it is too short without it
        if problem["type"] == "too_short" and any(
            place != problem["loc"] and place[: len(problem["loc"])] == problem["loc"] for place in places
        ):
            continue
        # the tag of a union's member says nothing to who wrote the file
        place = ".".join(
            str(part) for part in problem["loc"] if part not in _TAGS or part == problem["loc"][-1]
        )
        given = problem["input"]
        shown = f" (given: {given!r})" if not isinstance(given, dict) else ""
        what = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            what = "there is no such setting"
        elif problem["type"] == "tuple_type":
            what, shown = f"a list is wanted: [{given}]", ""
        elif problem["type"] == "union_tag_invalid":
            context = problem.get("ctx", {})
            place += f".{context['discriminator'].strip(chr(39))}"
            what, shown = f"there are {context['expected_tags']}", f" (given: {context['tag']!r})"
        lines.append(f"{_source(where, place, typed)}{what}{shown}")
    return "\n".join(lines)


def _source(where: str, place: str, typed: Collection[str]) -> str:
    """Where a setting was written: the option, the file and the setting, or the setting alone."""
    if where == OPTIONS:
        return f"--{place.partition('.')[0].replace('_', '-')}: " if place else ""
    source = "--set" if any(place == name or place.startswith(f"{name}.") for name in typed) else where
    return "".join(f"{part}: " for part in (source, place) if part)


def print_json(value: Any) -> None:
    """JSON on standard output, for programs."""
    typer.echo(json.dumps(value, indent=2))
