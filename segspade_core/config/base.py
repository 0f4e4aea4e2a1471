"""What all configs are made of."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

Split = Literal["train", "val", "test"]
Layout = Literal["cityscapes", "camvid", "minicity"]
Codec = Literal["fast", "small", "raw"]  # as storage.split_layout has them


_LARGEST = 2**63 - 1  # of what counts, seeds and sizes are taken to be everywhere


class Frozen(BaseModel):
    """A config: never changed once built, and a misspelt key is an error. No number is NaN or infinite."""

    # NaN is neither above nor below a limit, and has no place in an artifact's key
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any) -> Any:
        """YAML takes `on` and `yes` for true, which pydantic would take for 1."""
        if not isinstance(value, dict):
            return value
        return {name: cls._number(name, given) for name, given in value.items()}

    @classmethod
    def _number(cls, name: str, given: Any) -> Any:
        if type(given) is int and abs(given) > _LARGEST:
            raise ValueError(f"{name}: whole numbers lie between {-_LARGEST} and {_LARGEST}")
        if isinstance(given, bool) and name in cls.model_fields:
            kind = cls.model_fields[name].annotation
            kinds = {kind, *get_args(kind)}
            if kinds & {int, float} and bool not in kinds:
                return str(given).lower()  # refused as no number, and shown
        return given


_SHOWN = 40  # letters of what was given for a size


def _any_of(schema: dict[str, Any]) -> None:
    schema["anyOf"] = schema.pop("oneOf")


# For unions of configs. As a JSON schema, which Prefect holds parameters against, 'one of' would refuse what
# leaves `kind` out and so fits several; and Prefect's form has fields for 'any of' alone.
BY_KIND = Field(discriminator="kind", json_schema_extra=_any_of)


def _parse_size(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]{1,9})\s*[xX×]\s*([0-9]{1,9})\s*", value)
        if match is None:
            raise ValueError(f"size '{value[:_SHOWN]}' is not HEIGHTxWIDTH, such as 256x512")
        value = (int(match[1]), int(match[2]))
    if not isinstance(value, (tuple, list)) or len(value) != 2 or not all(map(_is_whole, value)):
        raise ValueError("a size is HEIGHTxWIDTH, such as 256x512")
    if not all(8 <= side <= 16384 for side in value):
        raise ValueError(f"size {value[0]}x{value[1]}: each side must lie between 8 and 16384 pixels")
    return value


def _is_whole(side: Any) -> bool:
    return isinstance(side, int) and not isinstance(side, bool)


ImageSize = Annotated[
    tuple[int, int],
    BeforeValidator(_parse_size, json_schema_input_type=str),
    PlainSerializer(lambda size: f"{size[0]}x{size[1]}", return_type=str),
    Field(description="height x width in pixels, such as 256x512"),
]
