"""The depth artifact: every round's maps and paintings beside one another, shard by shard."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import commit, maps, photographs, predictions, run_parts_here
from PIL import Image

from segspade_core.config import CycleDepthConfig
from segspade_core.errors import InputError
from segspade_core.metrics.cycle_depth import DepthTally
from segspade_core.metrics.cycle_depth_tables import summarise_depth
from storage.errors import DamagedArtifact
from storage.files import put_bytes
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table
from tasks import depth_page
from tasks.cycle_depth import DepthJourney, plan_cycle_depth, read_depth, tell_depth
from tasks.plan import Plan

COUNT = 18  # two shards
ROUNDS = 3
CONFIG = CycleDepthConfig(split="val", rounds=ROUNDS, limit=COUNT, samples=2, least_pixels=1)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.cycle_depth.map_parts", run_parts_here)


@pytest.fixture
def stacks() -> list[np.ndarray[Any, Any]]:
    return [predictions(at + 1, COUNT) for at in range(ROUNDS + 1)]


@pytest.fixture
def journey(workspace: Path, stacks: list[np.ndarray[Any, Any]]) -> DepthJourney:
    photos = {"image": np.zeros_like(photographs(9, COUNT + 2)), "label_ids": maps(8, COUNT + 2)}
    return DepthJourney(
        dataset=commit(workspace, "dataset", splits={"val": photos}),
        segmenter=commit(workspace, "segmenter"),
        generator=commit(workspace, "generator"),
        maps=tuple(
            commit(workspace, "label_maps", str(at), {"val": {"label_ids": stack}})
            for at, stack in enumerate(stacks)
        ),
        paintings=tuple(
            commit(
                workspace,
                "images",
                str(at),
                {"val": {"image": np.full_like(photographs(9, COUNT), 50 * at)}},
                config={"style": "mean", "city": None, "time_of_day": "night"},
            )
            for at in range(1, ROUNDS + 1)
        ),
    )


def made(workspace: Path, journey: DepthJourney) -> tuple[Plan, dict[str, Any]]:
    plan = plan_cycle_depth(workspace, journey, CONFIG)
    with Store(workspace).writer(plan.ref) as staging:
        assert staging is not None
        about = tell_depth(plan)
        staging.commit(
            stage=plan.stage, revision=plan.revision, config=plan.config, inputs=plan.inputs, **about
        )
    return plan, about


def test_the_artifact_tells_what_the_core_tells_of_all_samples(
    workspace: Path, journey: DepthJourney, stacks: list[np.ndarray[Any, Any]]
) -> None:
    """Fault: rounds in another order, rows of one shard counted as another's, a shard left out."""
    plan, about = made(workspace, journey)
    tally = DepthTally(ROUNDS)
    for row in range(COUNT):
        tally.add(f"val{row:03}", iter([stack[row] for stack in stacks]))
    expected = summarise_depth(tally, least_pixels=1)
    assert read_depth(workspace, plan.ref) == json.loads(json.dumps(expected.summary))
    folder = Store(workspace).path(plan.ref)
    for name in ("per_round", "per_class", "per_sample"):
        assert read_table(folder / f"{name}.parquet").equals(getattr(expected, name)), name
    assert about["counts"] == {"val": COUNT}
    assert about["metrics"]["changed"] == expected.summary["rest"]["changed"]
    assert (folder / "depth.svg").read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    page = (folder / "depth.html").read_text()
    assert str(journey.generator) in page
    assert "<td>night</td>" in page
    assert "city" not in page.split("Made of")[2]


def test_the_film_shows_photograph_and_paintings_in_their_order(
    workspace: Path, journey: DepthJourney
) -> None:
    """Fault: the map of a round under the painting of the next one."""
    plan, _ = made(workspace, journey)
    content = (Store(workspace).path(plan.ref) / "filmstrip.png").read_bytes()
    picture = np.asarray(Image.open(io.BytesIO(content)))
    levels = [int(picture[48, 6 + column * (32 + 6) + 16, 0]) for column in range(ROUNDS + 1)]
    assert levels == [0, 50, 100, 150]


def test_a_run_that_was_cut_short_goes_on_with_the_shard_that_is_left(
    workspace: Path, journey: DepthJourney, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: what is counted is counted again, or twice."""
    plan = plan_cycle_depth(workspace, journey, CONFIG)
    added: list[str] = []
    add = DepthTally.add

    def noting(self: DepthTally, sample_id: str, *rest: Any) -> None:
        if sample_id == "val017" and not added.count("cut"):
            added.append("cut")
            raise KeyboardInterrupt
        added.append(sample_id)
        add(self, sample_id, *rest)

    monkeypatch.setattr(DepthTally, "add", noting)
    with Store(workspace).writer(plan.ref), pytest.raises(KeyboardInterrupt):
        tell_depth(plan)
    with Store(workspace).writer(plan.ref):
        tell_depth(plan)
    assert added[-3:] == ["cut", "val016", "val017"]
    assert len(read_table(plan.staging / "per_sample.parquet")) == COUNT * (ROUNDS + 1)


def test_rounds_that_are_missing_are_told(workspace: Path, journey: DepthJourney) -> None:
    short = journey.model_copy(update={"maps": journey.maps[:-1]})
    with pytest.raises(InputError, match="3 rounds want 4 maps and 3 paintings; there are 3 and 3"):
        plan_cycle_depth(workspace, short, CONFIG)


def test_another_order_of_rounds_is_another_artifact(workspace: Path, journey: DepthJourney) -> None:
    turned = journey.model_copy(update={"maps": journey.maps[::-1]})
    keys = {plan_cycle_depth(workspace, each, CONFIG).key for each in (journey, turned)}
    assert len(keys) == 2


def test_the_run_page_has_the_sentences_the_plot_and_the_page(
    workspace: Path, journey: DepthJourney, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: nothing shown within a run, or something asked for without one."""
    sent: list[dict[str, Any]] = []
    for name in ("create_markdown_artifact", "create_link_artifact"):
        monkeypatch.setattr(depth_page, name, lambda **fields: sent.append(fields))
    plan, _ = made(workspace, journey)
    depth_page.show_depth(workspace, plan.ref, None)
    assert sent == []
    monkeypatch.setattr(depth_page.FlowRunContext, "get", lambda: object())
    depth_page.show_depth(workspace, plan.ref, None)
    assert "does not come to rest in 3 rounds" in sent[0]["markdown"]
    assert "](data:image/svg+xml;base64,PHN2ZyB4bWxucz0i" in sent[0]["markdown"]
    assert sent[1]["link"].endswith(f"{plan.key}/depth.html")


def test_a_damaged_summary_is_told(workspace: Path, journey: DepthJourney) -> None:
    plan, _ = made(workspace, journey)
    put_bytes(Store(workspace).path(plan.ref) / "depth.json", b"{}")
    with pytest.raises(DamagedArtifact, match=r"depth\.json"):
        read_depth(workspace, plan.ref)


def test_a_split_that_the_maps_lack_is_told(workspace: Path, journey: DepthJourney) -> None:
    config = CONFIG.model_copy(update={"split": "train"})
    plan = plan_cycle_depth(workspace, journey, config)
    with Store(workspace).writer(plan.ref), pytest.raises(InputError, match="has no split 'train'"):
        tell_depth(plan)


def test_kinds_know_the_depth() -> None:
    assert str(ArtifactRef(kind="depth", key="0" * 16)) == f"depth/{'0' * 16}"
