"""One stage makes one artifact: its tasks and how they are cached, who makes it, how it is published.

The store is the truth. Prefect's cache record is a view of it: a task returns a small reference whose
validator looks into the store, so a record whose artifact is gone is a miss, and the work is done again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from prefect import get_run_logger, tags, task, unmapped
from prefect.cache_policies import CachePolicy
from prefect.exceptions import MissingContextError
from prefect.futures import as_completed
from prefect.states import Completed

from storage.errors import DiskFull
from storage.files import files_under, put_bytes
from storage.places import shown
from storage.refs import ArtifactRef
from storage.space import FULL
from storage.store import Staging
from tasks.plan import Part, Plan, StoredArtifact
from tasks.progress import progress, say, say_done
from tasks.runners import runner_of


@dataclass
class StageCache(CachePolicy):
    """Cache by artifact key: the same in every run and every process that uses the workspace."""

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str:
        plan = inputs["plan"]
        place = hashlib.sha256(shown(plan.workspace).encode()).hexdigest()[:8]
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
    """Only input and output: wrong input stays wrong, a bug stays a bug, and a full disk is not emptied."""
    try:
        state.result()
    except OSError as error:
        return error.errno not in FULL
    except Exception:
        return False
    return False


class Work:
    """A stage being made, or found made. Not a model: Prefect must neither walk into it nor hash it."""

    def __init__(self, staging: Staging | None) -> None:
        self.staging = staging
        self._started = time.monotonic()
        self._before = _seconds_before(staging)

    @property
    def is_done(self) -> bool:
        """Whether the artifact is committed already, so that nothing is left to do but to say so."""
        return self.staging is None

    @property
    def seconds(self) -> float:
        """Time that went into the artifact, in this run and in those before it that were cut short."""
        return self._before + time.monotonic() - self._started

    def keep_time(self) -> None:
        """Note the time for a run that goes on from here; nothing is noted before anything was made."""
        if self.staging is not None and any(files_under(self.staging.path)):
            # what went wrong is told, not that on a full disk this could not be noted either
            with suppress(DiskFull):
                put_bytes(self.staging.path / _CLOCK, f"{self.seconds:.1f}".encode())


# among the markers: it is of use only until the artifact is committed
_CLOCK = "done/seconds"


def _seconds_before(staging: Staging | None) -> float:
    try:
        return 0.0 if staging is None else float((staging.path / _CLOCK).read_text())
    except (OSError, ValueError):
        return 0.0


@contextmanager
def making(plan: Plan) -> Iterator[Work]:
    """Hold the key while its artifact is made; when another holds it, wait and then use what it made.

    Tasks that run meanwhile are tagged with the stage.
    """
    store = plan.store
    if store.exists(plan.ref):
        with tags(plan.stage):
            yield Work(None)
        return
    with tags(plan.stage), store.writer(plan.ref, on_wait=tell) as staging:
        work = Work(staging)
        try:
            yield work
        except BaseException:
            work.keep_time()
            raise


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
    with progress(plan.stage, total) as bar, runner_of(plan.runtime, plan.workspace) as runner:
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


def publish(plan: Plan, work: Work, **about: Any) -> ArtifactRef:
    """Commit what was made, as a task. `about`: counts, metrics and device for the manifest."""
    commit(plan, work, **about)
    if work.is_done:
        run_logger().info("%s: %s is there", plan.stage, plan.ref)
        return plan.ref
    say_done(f"✓ {plan.stage}  {plan.ref}  {work.seconds:.1f} s{_outcome(about)}")
    run_logger().info("%s: made %s in %.1f s%s", plan.stage, plan.ref, work.seconds, _pace(plan, work, about))
    return plan.ref


def _outcome(about: dict[str, Any]) -> str:
    """How good a segmenter became, where it was validated."""
    miou = (about.get("metrics") or {}).get("val_miou")
    return "" if miou is None else f"  val mIoU {miou:.1%}"


def _pace(plan: Plan, work: Work, about: dict[str, Any]) -> str:
    """How many samples that was, and how many a second; of a training, each epoch says it."""
    count = sum((about.get("counts") or {}).values())
    if not count or plan.stage.startswith("train-"):
        return ""
    return f", {count:,} samples, {count / work.seconds:.3g} a second"


class _Without(logging.Filter):
    """Leaves out lines of Prefect's that begin so."""

    def __init__(self, *beginnings: str) -> None:
        super().__init__()
        self._beginnings = beginnings

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(self._beginnings)


# at the end of every task: its page shows that, and a split has thousands
logging.getLogger("prefect.task_runs").addFilter(_Without("Finished in state"))
logging.getLogger("prefect.flow_runs").addFilter(_Without("Running hook", "Hook "))


# never tried again within a run: a commit that was cut short is taken back by the next writer alone
@stage_task(name="publish", task_run_name="publish {plan.stage} {plan.key}", retries=0)
def commit(
    plan: Plan,
    work: Work,
    counts: dict[str, int] | None = None,
    metrics: dict[str, Any] | None = None,
    device: str = "cpu",
) -> StoredArtifact:
    """Commit what was made. Shows as Cached, and does nothing, when it is committed already."""
    if work.staging is None:
        # said by ourselves: a server that sees this workspace for the first time has no record to say it
        made = StoredArtifact(workspace=plan.workspace, ref=plan.ref)
        return Completed(data=made, name="Cached")  # type: ignore[return-value]
    work.staging.commit(
        stage=plan.stage,
        revision=plan.revision,
        config=plan.config,
        inputs=plan.inputs,
        counts=counts or {},
        metrics=metrics or {},
        seconds=work.seconds,
        device=device,
    )
    return StoredArtifact(workspace=plan.workspace, ref=plan.ref)
