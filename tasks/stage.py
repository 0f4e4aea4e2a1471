"""One stage makes one artifact: what it is called, when it is made, how it is published.

The store is the truth. Prefect's cache record is a view of it: a task returns a small reference whose
validator looks into the store, so a record whose artifact is gone is a miss, and the work is done again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task, unmapped
from prefect.cache_policies import CachePolicy
from prefect.exceptions import MissingContextError
from prefect.futures import as_completed
from pydantic import BaseModel, ConfigDict, computed_field, model_validator

from segspade_core.config import RuntimeConfig
from storage.arrays import shard_done, shards
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.store import Staging, Store
from tasks.progress import progress, say
from tasks.runners import runner_of


class Plan(BaseModel):
    """What a stage is about to make. Stage, revision, config and inputs enter the key.

    Not so workspace, runtime, and `place` (where a source of files lies): they do not change the result.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    workspace: Path
    stage: str
    kind: str
    revision: int
    config: dict[str, Any]
    inputs: dict[str, str]
    runtime: RuntimeConfig = RuntimeConfig()
    place: Path | None = None

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
            raise ValueError(f"{self.ref} is not in {self.workspace}")
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
        plan.store.exists(plan.ref)
        or marker(plan, part).exists()
        or shard_done(plan.staging / part.array, part.shard)
    )


def marker(plan: Plan, part: Part) -> Path:
    """The file that says that a part which is not a shard of arrays is made; not part of the artifact."""
    return plan.staging / "done" / part.name


@dataclass
class StageCache(CachePolicy):
    """Cache by artifact key: the same in every run and every process that uses the workspace."""

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str:
        plan = inputs["plan"]
        place = hashlib.sha256(str(plan.workspace).encode()).hexdigest()[:8]
        unit = inputs["part"].name if "part" in inputs else ""
        return "-".join(part for part in (place, plan.stage, plan.key, task_ctx.task.name, unit) if part)


def stage_task(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """A Prefect task, cached by the artifact key of its `plan`, that tries again when a disk stumbles."""
    defaults: dict[str, Any] = {
        "cache_policy": StageCache(),
        "persist_result": True,
        "result_serializer": "json",
        "cache_result_in_memory": False,
        "retries": 2,
        "retry_delay_seconds": [1, 5],
        "retry_condition_fn": _is_worth_another_try,
    }
    decorate = task(**{**defaults, **options})
    return decorate if function is None else decorate(function)


def _is_worth_another_try(_task: Any, _run: Any, state: Any) -> bool:
    """Only input and output: wrong input stays wrong, and a bug stays a bug."""
    try:
        state.result()
    except OSError:
        return True
    except Exception:
        return False
    return False


class Work:
    """A stage being made, or found made. Not a model: Prefect must neither walk into it nor hash it."""

    def __init__(self, staging: Staging | None) -> None:
        self.staging = staging
        self.started = time.monotonic()

    @property
    def is_done(self) -> bool:
        """Whether the artifact is committed already, so that nothing is left to do but to say so."""
        return self.staging is None


@contextmanager
def making(plan: Plan) -> Iterator[Work]:
    """Hold the key while its artifact is made; when another holds it, wait and then use what it made."""
    store = plan.store
    if store.exists(plan.ref):
        yield Work(None)
        return
    with store.writer(plan.ref, on_wait=tell) as staging:
        yield Work(staging)


def map_parts(part_task: Any, plan: Plan, parts: Sequence[Part], **columns: Sequence[Any]) -> list[Any]:
    """Run one task a part on the task runner that the runtime config names, and wait for all of them.

    Args:
        part_task: a `stage_task` that takes `plan`, `part` and the names of `columns`.
        plan: what is being made.
        parts: what is left to each task.
        columns: further arguments, one value a part.

    Returns:
        What each task returned, in the order of `parts`.

    Raises:
        What the first task to fail raised; parts that are made stay, and are not made again.
    """
    if not parts:
        return []
    arguments = {"plan": unmapped(plan), "part": list(parts), **columns}
    total = sum(len(part) for part in parts)
    with progress(f"{plan.stage} {plan.key}", total) as bar, runner_of(plan.runtime) as runner:
        futures = list(runner.map(part_task, arguments))
        sizes = {id(future): len(part) for future, part in zip(futures, parts, strict=True)}
        for future in as_completed(futures):
            future.result()
            bar.advance(sizes[id(future)])
        return [future.result() for future in futures]


def tell(message: str) -> None:
    """Say something to who watches the terminal, and to who reads the run's log."""
    say(message)
    run_logger().info(message)


def run_logger() -> Any:
    """The log of the run that is under way; an ordinary one outside of a run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("segspade")


@stage_task(name="publish", task_run_name="publish {plan.stage} {plan.key}")
def publish(
    plan: Plan,
    work: Work,
    counts: dict[str, int] | None = None,
    metrics: dict[str, Any] | None = None,
    device: str = "cpu",
) -> StoredArtifact:
    """Commit what was made. Shows as Cached, and does nothing, when it is committed already."""
    if work.staging is not None:
        work.staging.commit(
            stage=plan.stage,
            revision=plan.revision,
            config=plan.config,
            inputs=plan.inputs,
            counts=counts or {},
            metrics=metrics or {},
            seconds=time.monotonic() - work.started,
            device=device,
        )
    return StoredArtifact(workspace=plan.workspace, ref=plan.ref)
