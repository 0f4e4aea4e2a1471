"""What a stage is about to make, in which parts, and whether a part is made. Knows nothing of Prefect.

The store is the truth: the references that tasks return are valid only while what they refer to is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, computed_field, model_validator

from segspade_core.config import RuntimeConfig
from storage.keys import artifact_key
from storage.places import Workspace, shown
from storage.refs import ArtifactRef
from storage.shard_writing import shard_done
from storage.split_layout import shards
from storage.store import Store


class Plan(BaseModel):
    """What a stage is about to make. Stage, revision, config and inputs enter the key.

    Not so workspace, runtime, and `place` and `places` (where files lie whose content the config knows by
    its digest): they do not change the result.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    # absolute: the cache and the workers of a cluster know it by one name, wherever they were started
    workspace: Annotated[Workspace, AfterValidator(Path.absolute)]
    stage: str
    kind: str
    revision: int
    config: dict[str, Any]
    inputs: dict[str, str]
    runtime: RuntimeConfig = RuntimeConfig()
    place: Path | None = None
    places: dict[str, Path] = {}

    @computed_field
    @property
    def key(self) -> str:
        return artifact_key(self.stage, self.revision, self.config, self.inputs)

    @property
    def ref(self) -> ArtifactRef:
        return ArtifactRef(kind=self.kind, key=self.key)

    @property
    def store(self) -> Store:
        return Store(self.workspace)

    @property
    def staging(self) -> Path:
        """Where the artifact's files are put until it is committed."""
        return Path(self.store.staging_path(self.ref))

    def input(self, name: str) -> ArtifactRef:
        """The artifact that this plan reads as `name`."""
        kind, key = self.inputs[name].split("/")
        return ArtifactRef(kind=kind, key=key)


class StoredArtifact(BaseModel):
    """A reference that is valid only while the artifact is committed."""

    workspace: Path
    ref: ArtifactRef

    @model_validator(mode="after")
    def _committed(self) -> StoredArtifact:
        if not Store(self.workspace).exists(self.ref):
            raise ValueError(f"{self.ref} is not in {shown(self.workspace)}")
        return self


class Part(BaseModel):
    """A unit of work and of resuming: samples start to stop of one split, which make one whole shard."""

    model_config = ConfigDict(frozen=True)

    split: str
    shard: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.shard:05}"

    @property
    def array(self) -> str:
        """Folder of the split's arrays within an artifact."""
        return f"{self.split}.zarr"

    def __len__(self) -> int:
        return self.stop - self.start


def parts_of(counts: dict[str, int]) -> list[Part]:
    """The parts of splits with so many samples each, in order."""
    return [
        Part(split=split, shard=shard, start=start, stop=stop)
        for split, count in counts.items()
        for shard, start, stop in shards(count)
    ]


class StoredPart(BaseModel):
    """A reference that is valid only while the part, or the artifact it went into, is there."""

    plan: Plan
    part: Part

    @model_validator(mode="after")
    def _made(self) -> StoredPart:
        if not part_is_made(self.plan, self.part):
            raise ValueError(f"{self.part.name} of {self.plan.ref} is not made")
        return self


def part_is_made(plan: Plan, part: Part) -> bool:
    """Whether the part is written whole: as a shard of arrays, or as files with a marker."""
    return (
        # a bucket is asked last
        marker(plan, part).exists()
        or shard_done(plan.staging / part.array, part.shard)
        or plan.store.exists(plan.ref)
    )


def marker(plan: Plan, part: Part) -> Path:
    """The file that says that a part which is not a shard of arrays is made; not part of the artifact."""
    return plan.staging / "done" / part.name
