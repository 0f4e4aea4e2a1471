"""The whole journey, twice: it makes everything once, and what is lost is made again, and only that."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun

from flows.cycle import cycle
from flows.pipeline import pipeline
from segspade_core.config import EvaluateConfig, LookConfig, RunConfig, WindowsConfig
from segspade_core.errors import InputError
from storage.aliases import Aliases
from storage.refs import ArtifactRef
from storage.store import Store

pytestmark = pytest.mark.prefect

STAGES = {
    "minicity": 1,
    "ingest": 1,
    "describe": 1,
    "train-segmenter": 1,
    "import-generator": 1,
    "segment": 6,
    "synthesize": 4,
    "score": 1,
    "report": 1,
}
Digests = Callable[[Path], dict[str, str]]


def run(config: RunConfig, workspace: Path) -> tuple[ArtifactRef, list[TaskRun]]:
    """The report, and the tasks of the run."""
    state = pipeline(config, workspace, return_state=True)
    report = state.result()
    with get_client(sync_client=True) as client:
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        tasks: list[TaskRun] = []
        for _ in range(300):  # rows reach the database late
            now = client.read_task_runs(flow_run_filter=of_run)
            if now and len(now) == len(tasks) and all(task.state and task.state.is_final() for task in now):
                return report, now
            tasks = now
            time.sleep(0.1)
    raise AssertionError("the tasks of the run never came to an end")


def snapshot(workspace: Path) -> dict[str, tuple[int, int]]:
    """Path → (size, time) of everything in the store."""
    return {
        str(path.relative_to(workspace)): (path.stat().st_size, path.stat().st_mtime_ns)
        for area in ("artifacts", "staging", "aliases")
        for path in (workspace / area).rglob("*")
        if path.is_file()
    }


def test_the_second_run_writes_nothing_and_shows_every_stage_as_cached(tiny: RunConfig, made: Path) -> None:
    before = snapshot(made)
    report, tasks = run(tiny, made)
    assert snapshot(made) == before
    assert {task.state_name for task in tasks} == {"Cached"}
    stages = [task.name.split()[1] for task in tasks]
    assert {stage: stages.count(stage) for stage in stages} == STAGES
    assert Store(made).exists(report)


def test_every_artifact_is_whole_named_and_reached_from_the_report(made: Path) -> None:
    store = Store(made)
    assert store.verify() == []
    (report,) = store.refs("report")
    (statistics,) = store.refs("statistics")
    assert {*store.lineage(report), statistics} == set(store.refs())
    named = {kind for kind, name, _ in Aliases(made).list() if name == "tiny"}
    assert named == {"dataset", "statistics", "segmenter", "generator", "scores", "report"}
    assert store.gc_plan().items == []
    assert not list((made / "staging").rglob("*.*"))


def test_what_was_deleted_is_made_again_and_only_that(
    tiny: RunConfig, made: Path, tmp_path: Path, digests: Digests
) -> None:
    """Fault: a cached record stands for an artifact that is gone, or all that follows is made anew."""
    workspace = shutil.copytree(made, tmp_path / "workspace")
    store = Store(workspace)
    (scores,) = store.refs("scores")
    lost = store.manifest(scores).input_refs["val.predicted"]
    store.remove(lost)
    before = snapshot(workspace)
    _, tasks = run(tiny, workspace)
    assert digests(workspace) == digests(made)
    anew = {path for path in snapshot(workspace) if path not in before}
    assert anew
    assert all(path.startswith(f"artifacts/{lost}/") for path in anew)
    assert {path: snapshot(workspace)[path] for path in before} == before
    done = sorted(task.name for task in tasks if task.state_name == "Completed")
    assert done == [f"publish segment {lost.key}", "segment val 0–2"]


def test_a_generator_that_does_not_suit_is_refused_before_the_city_is_drawn(
    tiny: RunConfig, tmp_path: Path
) -> None:
    ingest = tiny.ingest.model_copy(update={"size": (40, 64)})
    with pytest.raises(InputError, match=r"ingest\.size 40x64 does not suit the generator"):
        pipeline(tiny.model_copy(update={"ingest": ingest}), tmp_path)
    assert {ref.kind for ref in Store(tmp_path).refs()} == {"generator"}


def test_the_cycle_alone_scores_the_splits_it_is_told(made: Path, tmp_path: Path) -> None:
    workspace = shutil.copytree(made, tmp_path / "workspace")
    store = Store(workspace)
    models = [store.resolve(f"{kind}/tiny") for kind in ("dataset", "segmenter", "generator")]
    scores = cycle(*models, EvaluateConfig(splits=("val",), limit={"val": 1}), workspace=workspace)
    manifest = store.manifest(scores)
    assert manifest.config["splits"] == ["val"]
    assert manifest.counts == {"val": 1}


def test_a_cycle_looks_as_it_is_told_at_photographs_and_paintings(made: Path, tmp_path: Path) -> None:
    """Fault: one of the three looks otherwise, and the cycle agrees less for that alone."""
    workspace = shutil.copytree(made, tmp_path / "workspace")
    store = Store(workspace)
    models = [store.resolve(f"{kind}/tiny") for kind in ("dataset", "segmenter", "generator")]
    look = LookConfig(windows=WindowsConfig(size=(64, 64)), flip=True, scales=(0.5, 1.0))
    evaluate = EvaluateConfig(splits=("val",), limit={"val": 1}, look=look)
    scores = store.manifest(cycle(*models, evaluate, workspace=workspace))
    for name in ("val.predicted", "val.cycle", "val.resegmented"):
        config = store.manifest(scores.input_refs[name]).config
        assert LookConfig(**{field: config[field] for field in LookConfig.model_fields}) == look, name


def test_confidence_and_resolution_reach_the_scores(made: Path, tmp_path: Path) -> None:
    """Fault: the segment stage is not asked, or scores do not find what it kept."""
    workspace = shutil.copytree(made, tmp_path / "workspace")
    store = Store(workspace)
    models = [store.resolve(f"{kind}/tiny") for kind in ("dataset", "segmenter", "generator")]
    evaluate = EvaluateConfig(splits=("val",), limit={"val": 2}, confidence=True)
    scores = cycle(*models, evaluate, resolution="network", workspace=workspace)
    summary = json.loads((store.path(scores) / "scores.json").read_bytes())
    assert summary["resolution"] == "network"
    of_val = summary["splits"]["val"]
    pixels = [of_val["segmenter"]["ids"]["pixels"]]
    assert [sum(each["pixels"] for each in of_val["segmenter"]["calibration"]["ids"]["bins"])] == pixels
    assert "calibration" not in of_val["cycle"]
    assert of_val["segmenter"]["instances"]["count"] > 0


def test_the_run_page_shows_scores_samples_and_report(made: Path) -> None:
    with get_client(sync_client=True) as client:
        found: dict[Any, Any] = {artifact.key: artifact for artifact in client.read_artifacts()}
    assert len(found["scores"].data) > 100
    assert "distance of segmenter features (not FID)" in found["painting"].data
    assert "](data:image/jpeg;base64," in found["samples"].data
    # this server is not the workspace's own, and shows no pages of it
    assert "file://" in found["report"].data
    assert "/inspector.html#val/" in found["samples"].data
