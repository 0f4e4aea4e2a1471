"""How an artifact is called."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal[
    "minicity", "dataset", "statistics", "drift", "segmenter", "generator", "label_maps", "images",
    "decision", "scores", "depth", "report",
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(Kind)
KEY_LENGTH = 16
Key = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{KEY_LENGTH}}}$")]


class ArtifactRef(BaseModel):
    """Kind and key: all that tasks hand on. What it refers to need not exist (yet, or any more)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # both become folder names, so neither may hold a separator: the closed list and the pattern see to it
    kind: Kind
    key: Key

    def __str__(self) -> str:
        return f"{self.kind}/{self.key}"
