"""What runs are called, and the tags they are found by in the UI."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import flow, tags
from prefect.client.orchestration import get_client

from storage.refs import ArtifactRef
from tasks.naming import batch_name, run_name, stage_name, tag_run

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]

JOURNEY = {
    "name": "camvid",
    "segmenter": {"encoder": "resnet34"},
    "generator": {"kind": "import", "weights": "weights/latest_net_G.pth"},
    "runtime": {"device": "cpu"},
}


@flow(name="journey", flow_run_name=run_name, on_running=[tag_run])
def journey(config: dict[str, Any]) -> None:
    pass


@flow(name="batch", flow_run_name=batch_name, on_running=[tag_run])
def batch(what: dict[str, Any]) -> None:
    pass


@flow(name="stage", flow_run_name=stage_name)
def stage(model: ArtifactRef, dataset: ArtifactRef, limit: int) -> None:
    pass


def seen(ran: Any) -> tuple[str, set[str]]:
    """Name and tags of a run, as the server has them."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(ran.state_details.flow_run_id)
    return run.name, set(run.tags)


def test_a_journey_is_found_by_dataset_and_models_and_named_by_its_whole_config() -> None:
    """Fault: two configs of one name look alike; tags that the deployment gave are lost."""
    with tags("mine"):
        name, found = seen(journey(JOURNEY, return_state=True))
    told = {"dataset:camvid", "segmenter:resnet34", "generator:imported:latest_net_G.pth"}
    assert found == {"mine", "segspade", *told}
    assert name.startswith("journey camvid ")

    elsewhere = {**JOURNEY, "runtime": {"device": "cuda"}}
    assert seen(journey(elsewhere, return_state=True))[0] == name  # it makes the same
    trained = {**JOURNEY, "generator": {"kind": "train"}}
    other, found = seen(journey(trained, return_state=True))
    assert other != name
    assert "generator:trained" in found


@pytest.mark.parametrize(
    ("what", "name", "expected"),
    [
        (
            {"images": "dataset/camvid", "segmenter": "segmenter/production", "split": "val", "limit": None},
            "batch dataset/camvid segmenter/production val",
            {"dataset:camvid", "segmenter:production"},
        ),
        (
            {"source": "data/CamVid", "name": "camvid", "ingest": {"layout": "camvid"}},
            "batch data/CamVid camvid",
            {"dataset:camvid"},
        ),
    ],
)
def test_a_batch_is_found_by_what_was_asked_for(what: dict[str, Any], name: str, expected: set[str]) -> None:
    assert seen(batch(what, return_state=True)) == (name, {"segspade", *expected})


def test_a_stage_alone_names_what_goes_in() -> None:
    """Fault: "fervent-otter"."""
    model, dataset = (
        ArtifactRef(kind="segmenter", key="3f2a" * 4),
        ArtifactRef(kind="dataset", key="77ab" * 4),
    )
    name, _ = seen(stage(model, dataset, 3, return_state=True))
    assert name == "stage segmenter/3f2a3f dataset/77ab77"
