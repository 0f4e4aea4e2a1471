"""What the page of a training shows after each epoch."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from handmade import commit, photographs

from segspade_core.config import GeneratorConfig, LossWeights, SegmenterConfig
from tasks import training, training_page
from tasks.plan import Plan

EPOCH = {
    "what": "epoch",
    "epoch": 2,
    "epochs": 5,
    "values": {"generator": 1.23456, "feature_matching": 12345.6},
    "panel": "data:image/jpeg;base64,abc",
}
MARKDOWN = """### Epoch 2 of 5

6 images per second

| | mean of the epoch |
|---|---|
| generator | 1.235 |
| feature matching | 1.235e+04 |

Label map, photograph, and what is painted by now:

![panel](data:image/jpeg;base64,abc)"""


@pytest.fixture
def plan(workspace: Path) -> Plan:
    dataset = commit(workspace, "dataset", splits={"train": {"image": photographs(1, 2)}})
    config = GeneratorConfig(batch=3, losses=LossWeights(perceptual=0))
    return training.plan_generator(workspace, dataset, config)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds by now, in its only element."""
    now = [100.0]
    monkeypatch.setattr(training_page.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(training_page, "create_markdown_artifact", lambda **fields: sent.append(fields))
    return sent


def test_an_epoch_is_a_table_its_speed_and_a_panel(
    plan: Plan, clock: list[float], shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: steps per second for images, the time that torch takes to load, a panel that is not there."""
    monkeypatch.setattr(training_page.TaskRunContext, "get", lambda: object())
    page = training_page.TrainingPage(plan)
    clock[0] += 60  # the child starts
    for _ in range(5):
        page.count_step()
        clock[0] += 0.5
    clock[0] -= 0.5
    page.show_epoch(EPOCH)
    assert shown == [
        {
            "key": "train-generator",
            "markdown": MARKDOWN,
            "description": f"`{plan.ref}`, epoch 2 of 5",
        }
    ]
    # the next epoch is timed by itself
    for _ in range(2):
        clock[0] += 2
        page.count_step()
    assert page.rate == pytest.approx(1.5)
    page.show_epoch({**EPOCH, "epoch": 5, "panel": None})
    assert "panel" not in shown[1]["markdown"]
    assert shown[1]["markdown"].endswith("| feature matching | 1.235e+04 |")


def test_images_per_second_are_those_of_all_batches_of_a_step(plan: Plan, clock: list[float]) -> None:
    """Fault: a segmenter that accumulates batches seems so many times slower than it is."""
    config = SegmenterConfig(batch=3, accumulate=4)
    of_segmenter = training.plan_segmenter(plan.workspace, plan.input("dataset"), config)
    page = training_page.TrainingPage(of_segmenter)
    page.count_step()
    clock[0] += 2
    page.count_step()
    assert page.rate == pytest.approx(6)


def test_outside_of_a_run_nothing_is_shown(
    plan: Plan, clock: list[float], shown: list[dict[str, Any]]
) -> None:
    page = training_page.TrainingPage(plan)
    page.count_step()
    page.show_epoch(EPOCH)
    assert not shown


def test_epochs_that_fly_by_are_thinned_and_the_last_is_shown(
    plan: Plan, clock: list[float], shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a version a second crowds the run's timeline; the last one is among those left out."""
    monkeypatch.setattr(training_page.TaskRunContext, "get", lambda: object())
    page = training_page.TrainingPage(plan)
    for epoch in range(1, 31):
        clock[0] += 3
        page.show_epoch({**EPOCH, "epoch": epoch, "epochs": 30})
    told = [int(fields["description"].split("epoch ")[1].split()[0]) for fields in shown]
    assert told == [1, 5, 9, 13, 17, 21, 25, 29, 30]


def test_a_training_as_a_whole_is_its_curves_and_settings(
    hand_made: Any, shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = hand_made.journeys[0].segmenter
    training_page.show_training(hand_made.workspace, segmenter)
    assert shown == []  # outside of a run
    monkeypatch.setattr(training_page.FlowRunContext, "get", lambda: object())
    training_page.show_training(hand_made.workspace, segmenter)
    (page,) = shown
    assert (page["key"], page["description"]) == ("curves-segmenter", f"Training of `{segmenter}`")
    assert "encoder: resnet18" in page["markdown"]
    drawing = base64.b64decode(page["markdown"].partition("base64,")[2].partition(")")[0]).decode()
    assert drawing.startswith('<svg xmlns="http://www.w3.org/2000/svg" style="color:#1f2328;background:#fff')
    # a margin that is part of the drawing: padding would cut off as much at the other side
    assert re.search(r'viewBox="-10 -10 660 \d+" width="660" height="\d+"', drawing)
    assert "padding" not in drawing
    assert len(page["markdown"]) < 200_000
