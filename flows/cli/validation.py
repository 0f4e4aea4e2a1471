"""Settings that are wrong, each in one line: where it was written, which it is, what it should be."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from segspade_core.errors import printable

OPTIONS = "options"  # where settings came from that were not written down anywhere
# how pydantic names the kind of a setting among its parents, where a person wrote none
_TAGS = (
    *("path", "minicity", "train", "import", "patch", "unet", "encoder"),
    *("adam", "adamw", "sgd", "constant", "poly", "cosine", "one_cycle"),
    *("cross_entropy", "focal", "ohem", "dice", "lovasz"),
)
_SHOWN = 80  # letters of a value
# in place of pydantic's words, which speak of parsing
_WANTED = {
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number is wanted"
    ),
    **dict.fromkeys(("float_type", "float_parsing"), "a number is wanted"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false is wanted"),
    "finite_number": "a finite number is wanted",
    "too_short": "a list of one or more is wanted",
}


def validation_message(
    error: ValidationError, where: str, typed: Collection[str] = (), model: type[BaseModel] | None = None
) -> str:
    """One line for each setting that is wrong: where, which, what, and what it was.

    Args:
        error: what pydantic found.
        where: file or option that the settings come from.
        typed: settings that were given with --set instead.
        model: what they were to become, so that it can be told what a misspelt one might be.
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
        shown = f" (given: {_shortened(given)})" if not isinstance(given, dict) else ""
        what = _WANTED.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        if problem["type"] == "extra_forbidden":
            what, shown = "there is no such setting", f"{shown}{_meant(model, problem['loc'])}"
        elif problem["type"] == "tuple_type":
            what, shown = f"a list is wanted: [{_shortened(given).strip(chr(39))}]", ""
        elif problem["type"] in ("model_type", "model_attributes_type"):
            what = f"settings of its own are wanted, such as {place.rpartition('.')[2]}: {{...}}"
        elif problem["type"] == "union_tag_invalid":
            context = problem.get("ctx", {})
            place += f".{context['discriminator'].strip(chr(39))}"
            what, shown = f"there are {context['expected_tags']}", f" (given: {_shortened(context['tag'])})"
        elif problem["type"] == "union_tag_not_found":
            kinds = ", ".join(f"'{kind}'" for kind in _kinds(model, problem["loc"]))
            what, shown = f"say which `kind` it is{': ' if kinds else ''}{kinds}", ""
        lines.append(printable(f"{_source(where, place, typed)}{what}{shown}"))
    return "\n".join(lines)


def _source(where: str, place: str, typed: Collection[str]) -> str:
    """Where a setting was written: the option, the file and the setting, or the setting alone."""
    if where == OPTIONS:
        return f"--{place.partition('.')[0].replace('_', '-')}: " if place else ""
    source = "--set" if any(place == name or place.startswith(f"{name}.") for name in typed) else where
    return "".join(f"{part}: " for part in (source, place) if part)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _meant(model: type[BaseModel] | None, loc: tuple[int | str, ...]) -> str:
    """The setting beside a misspelt one that is spelled most like it, or the same one elsewhere."""
    name = str(loc[-1])
    beside = {field for each in _models_at(model, loc[:-1]) for field in each.model_fields}
    near = difflib.get_close_matches(name, sorted(beside), n=1)
    if not near:
        own = ".".join(str(part) for part in loc if part not in _TAGS)
        near = [place for place in _places(model) if place.rpartition(".")[2] == name and place != own][:1]
    return f"; did you mean '{near[0]}'?" if near else ""


def _kinds(model: type[BaseModel] | None, loc: tuple[int | str, ...]) -> list[str]:
    found = _models_at(model, loc)
    return [str(each.model_fields["kind"].default) for each in found if "kind" in each.model_fields]


def _models_at(model: type[BaseModel] | None, loc: tuple[int | str, ...]) -> list[type[BaseModel]]:
    """The models that may stand at a place, which pydantic tells by names, numbers in lists, and kinds."""
    found = [] if model is None else [model]
    for part in loc:
        fields = [each.model_fields[str(part)] for each in found if str(part) in each.model_fields]
        if fields:
            found = [each for field in fields for each in _models_in(field.annotation)]
        elif not isinstance(part, int):
            found = [each for each in found if "kind" in each.model_fields and _kind_of(each) == part]
    return found


def _kind_of(model: type[BaseModel]) -> Any:
    return model.model_fields["kind"].default


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _places(model: type[BaseModel] | None, above: str = "") -> Iterator[str]:
    """Every setting by its full name, those of the first levels first."""
    if model is None:
        return
    yield from (above + name for name in model.model_fields)
    for name, field in model.model_fields.items():
        for each in _models_in(field.annotation):
            yield from _places(each, f"{above}{name}.")
