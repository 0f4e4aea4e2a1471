"""What all configs are made of."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

Split = Literal["train", "val", "test"]
Layout = Literal["cityscapes", "camvid", "minicity"]


class Frozen(BaseModel):
    """A config: never changed once built, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _any_of(schema: dict[str, Any]) -> None:
    schema["anyOf"] = schema.pop("oneOf")


# For unions of configs. As a JSON schema, which Prefect holds parameters against, 'one of' would refuse what
# leaves `kind` out and so fits several; and Prefect's form has fields for 'any of' alone.
BY_KIND = Field(discriminator="kind", json_schema_extra=_any_of)


def _parse_size(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*", value)
        if match is None:
            raise ValueError(f"size '{value}' is not HEIGHTxWIDTH, such as 256x512")
        value = (int(match[1]), int(match[2]))
    if isinstance(value, (tuple, list)) and len(value) == 2 and not all(8 <= side <= 16384 for side in value):
        raise ValueError(f"size {value[0]}x{value[1]}: each side must lie between 8 and 16384 pixels")
    return value


ImageSize = Annotated[
    tuple[int, int],
    BeforeValidator(_parse_size, json_schema_input_type=str),
    PlainSerializer(lambda size: f"{size[0]}x{size[1]}", return_type=str),
    Field(description="height x width in pixels, such as 256x512"),
]
