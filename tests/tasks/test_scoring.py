"""Scores: which maps and images are compared with which, over shards, splits without labels, and limits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import handmade
import pandas as pd
import pytest
import torch

from segspade_core.config import QualityConfig, ScoreConfig
from segspade_core.errors import InputError
from segspade_core.metrics.painting import Judges, Looks, look
from segspade_core.metrics.painting_summary import summarise_painting
from segspade_core.metrics.summary import summarise
from segspade_core.metrics.tally import Comparison, Tally
from storage.arrays import open_split
from storage.shard_writing import write_shard
from storage.split_layout import create_split, shards
from storage.store import Store
from storage.tables import read_table, write_table
from tasks import judges
from tasks.plan import Plan
from tasks.scoring import plan_score, score

CONFIG = ScoreConfig(splits=("train", "test"), boundary_tolerance=0.05)
# what each comparison compares, said once more
PAIRS: dict[Comparison, tuple[str, str]] = {
    "segmenter": ("true", "predicted"),
    "painted_true": ("true", "resegmented"),
    "painted_predicted": ("true", "cycle"),
    "cycle": ("predicted", "cycle"),
}


def by_hand(hand_made: Any) -> Tally:
    """Everything counted in one go, from the arrays themselves."""
    tally = Tally()
    for comparison, (target, predicted) in PAIRS.items():
        for split, count in (("train", 18), ("test", 3)):
            if split == "test" and comparison != "cycle":
                continue
            for row in range(count):
                truth, guess = hand_made.arrays[split, target][row], hand_made.arrays[split, predicted][row]
                of_row: dict[str, Any] = {}
                if comparison != "cycle":
                    of_row["instance_ids"] = hand_made.arrays["train", "instances"][row]
                if (split, comparison) == ("train", "segmenter"):
                    of_row["confidence"] = hand_made.arrays["train", "confidence"][row]
                tally.add(
                    split, comparison, f"{split}{row:03}", truth, guess, CONFIG.boundary_tolerance, **of_row
                )
    return tally


@pytest.mark.usefixtures("parts_run_here")
def test_scores_are_those_of_counting_everything_at_once(hand_made: Any) -> None:
    """Fault: maps of the wrong side compared, a shard left out or counted twice, ids one shard off."""
    plan = plan_score(hand_made.workspace, hand_made.journeys, CONFIG)
    with Store(hand_made.workspace).writer(plan.ref):
        about = score(plan)
    expected = summarise(by_hand(hand_made), CONFIG.boundary_tolerance)
    summary = json.loads((plan.staging / "scores.json").read_text())
    del summary["painting"]
    assert summary == expected.summary
    for name in ("per_class", "per_category", "confusion", "per_sample"):
        table = read_table(plan.staging / f"{name}.parquet")
        assert table.equals(getattr(expected, name)), name
    assert about["counts"] == {"train": 18, "test": 3}
    assert set(about["metrics"]["train"]) == set(PAIRS)
    assert about["device"] == "cpu"
    segmenter = summary["splits"]["train"]["segmenter"]
    assert segmenter["size"] == "16x32"
    assert segmenter["instances"]["count"] > 18
    assert segmenter["calibration"]["train_ids"]["ece"] > 0
    assert "instances" not in summary["splits"]["train"]["cycle"]
    assert "calibration" not in summary["splits"]["train"]["painted_true"]
    assert about["metrics"]["train"]["segmenter"] == {
        "pixel_accuracy": segmenter["ids"]["pixel_accuracy"],
        "miou": segmenter["ids"]["miou"],
        "miou_19_classes": segmenter["train_ids"]["miou"],
    }


@pytest.mark.usefixtures("parts_run_here")
def test_the_loss_that_was_kept_stands_in_the_row_of_its_sample(hand_made: Any) -> None:
    """Faults: losses of the first shard stand in the second; the cycle gets the segmenter's."""
    losses: list[float | None] = [row / 10 for row in range(18)]
    losses[3] = None
    ids = [f"train{row:03}" for row in range(18)]
    table = pd.DataFrame({"id": ids, "loss": losses})
    predicted = handmade.commit(
        hand_made.workspace,
        "label_maps",
        "with losses",
        {"train": {"label_ids": hand_made.arrays["train", "predicted"]}},
        lambda folder: write_table(folder / "train.losses.parquet", table),
    )
    journey = hand_made.journeys[0].model_copy(update={"predicted": predicted})
    plan = plan_score(hand_made.workspace, [journey], ScoreConfig(splits=("train",)))
    with Store(hand_made.workspace).writer(plan.ref):
        score(plan)
    rows = read_table(plan.staging / "per_sample.parquet")
    own = rows[rows["comparison"] == "segmenter"].set_index("id")["loss"]
    assert own[ids].fillna(-1).tolist() == [-1 if loss is None else loss for loss in losses]
    assert rows[rows["comparison"] != "segmenter"]["loss"].isna().all()


@pytest.mark.usefixtures("parts_run_here")
def test_maps_of_another_size_are_counted_at_the_size_asked_for(
    hand_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a segmenter that ran at half the size is compared there, or the resolution does not arrive."""
    small = hand_made.arrays["train", "predicted"][:, 1::2, 1::2]
    monkeypatch.setattr("handmade.SIZE", (8, 16))
    arrays = {"train": {"label_ids": small}}
    predicted = handmade.commit(hand_made.workspace, "label_maps", "small", arrays)
    journey = hand_made.journeys[0].model_copy(update={"predicted": predicted})
    sizes = {}
    for resolution in ("label", "network"):
        config = ScoreConfig(splits=("train",), resolution=resolution)
        plan = plan_score(hand_made.workspace, [journey], config)
        with Store(hand_made.workspace).writer(plan.ref):
            score(plan)
        summary = json.loads((plan.staging / "scores.json").read_text())
        assert summary["resolution"] == resolution
        sizes[resolution] = {name: row["size"] for name, row in summary["splits"]["train"].items()}
    assert sizes["label"] == dict.fromkeys(("segmenter", "painted_true", "painted_predicted"), "16x32") | {
        "cycle": "8x16"
    }
    assert sizes["network"] == {
        "segmenter": "8x16",
        "painted_true": "16x32",
        "painted_predicted": "16x32",
        "cycle": "16x32",
    }


@pytest.mark.usefixtures("parts_run_here")
def test_true_maps_that_were_kept_at_full_size_are_those_that_count(
    hand_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: predictions are compared at the size that the dataset was ingested at, which flatters them."""
    true = hand_made.arrays["train", "true"]
    full_size = true.repeat(2, 1).repeat(2, 2)
    full_size[:, ::2] = 0  # void, which the shrunk map knows nothing of

    def keep(folder: Path) -> None:
        path = folder / "train.full_size.zarr"
        create_split(path, 18, full_size.shape[1:], ("label_ids",), {})
        for shard, start, stop in shards(18):
            write_shard(path, shard, {"label_ids": full_size[start:stop]})

    arrays = {"train": {"image": handmade.photographs(1, 18), "label_ids": true}}
    dataset = handmade.commit(hand_made.workspace, "dataset", "annotated", arrays, keep)
    journey = hand_made.journeys[0].model_copy(update={"dataset": dataset})
    found = {}
    for resolution in ("label", "network"):
        config = ScoreConfig(splits=("train",), resolution=resolution)
        plan = plan_score(hand_made.workspace, [journey], config)
        with Store(hand_made.workspace).writer(plan.ref):
            score(plan)
        summary = json.loads((plan.staging / "scores.json").read_text())["splits"]["train"]
        assert summary["cycle"]["size"] == "16x32"
        found[resolution] = summary["segmenter"]["size"], summary["segmenter"]["ids"]["pixels"]
    (label, pixels), (network, of_small) = found["label"], found["network"]
    assert (label, network) == ("32x64", "16x32")
    assert pixels == 2 * of_small > 1000, "half of the rows, of four times as many pixels"


@pytest.mark.usefixtures("parts_run_here")
def test_a_split_without_labels_has_its_cycle_alone(hand_made: Any) -> None:
    plan = plan_score(hand_made.workspace, hand_made.journeys, CONFIG)
    with Store(hand_made.workspace).writer(plan.ref):
        metrics = score(plan)["metrics"]
    assert list(metrics["test"]) == ["cycle"]
    assert 0 < metrics["test"]["cycle"]["pixel_accuracy"] < 1


@pytest.mark.usefixtures("parts_run_here")
def test_a_shard_that_is_tallied_is_not_tallied_again(
    hand_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_score(hand_made.workspace, hand_made.journeys, CONFIG)
    with Store(hand_made.workspace).writer(plan.ref):
        first = score(plan)
        monkeypatch.setattr("tasks.scoring.has_labels", lambda *_: pytest.fail("looked at the maps again"))
        assert score(plan) == first


def seen_at_once(hand_made: Any) -> Looks:
    """Every painting looked at in one go, from the arrays themselves; 18 photographs of 20."""
    segmenter, device = handmade.tiny_segmenter()
    looks = []
    for split, count in (("train", 18), ("test", 3)):
        paintings: Any = {
            name: hand_made.arrays[split, name]
            for name in ("painted_true", "painted_predicted")
            if (split, name) != ("test", "painted_true")
        }
        photographs = Store(hand_made.workspace).path(hand_made.journeys[0].dataset) / f"{split}.zarr"
        images = open_split(photographs)["image"][:count]
        ids = [f"{split}{row:03}" for row in range(count)]
        looks.append(look(split, ids, images, paintings, Judges(segmenter, device)))
    return Looks.sum(looks)


@pytest.mark.usefixtures("parts_run_here")
def test_paintings_are_compared_with_the_photographs_of_their_frames(hand_made: Any) -> None:
    """Fault: the wrong painting, photographs one shard off or not scored, a split's features in another's."""
    plan = plan_score(hand_made.workspace, hand_made.journeys, CONFIG)
    with Store(hand_made.workspace).writer(plan.ref):
        about = score(plan)
    none = QualityConfig(inception="none", lpips="none")
    segmenter = str(hand_made.journeys[0].segmenter)
    expected = summarise_painting(seen_at_once(hand_made), none, handmade.SIZE, segmenter)
    assert json.loads((plan.staging / "scores.json").read_text())["painting"] == expected.summary
    assert read_table(plan.staging / "painting.parquet").equals(expected.table)
    assert read_table(plan.staging / "painting_per_sample.parquet").equals(expected.per_sample)
    assert list(expected.summary["test"]) == ["painted_predicted"]
    found = about["metrics"]["painting"]["train"]["painted_true"]
    assert "fid" not in found
    assert found["ssim"] == expected.summary["train"]["painted_true"]["scores"]["ssim"]["value"]


@pytest.mark.usefixtures("parts_run_here")
def test_scores_that_were_cut_short_end_as_if_they_had_not_been(
    hand_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: features of a shard that is done are lost, seen twice, or belong to another shard."""
    plan = plan_score(hand_made.workspace, hand_made.journeys, CONFIG)
    files = ("scores.json", "painting.parquet", "painting_per_sample.parquet", "per_sample.parquet")
    with Store(hand_made.workspace).writer(plan.ref):
        score(plan)
        unbroken = {name: (plan.staging / name).read_bytes() for name in files}
        for path in (plan.staging / "done").iterdir():
            if not path.name.startswith("train-00000"):
                path.unlink()
        for name in files:
            (plan.staging / name).unlink()
        seen: list[tuple[str, ...]] = []

        def watched(split: str, ids: Any, *rest: Any) -> Looks:
            seen.append((split, ids[0]))
            return look(split, ids, *rest)

        monkeypatch.setattr("segspade_core.metrics.painting.look", watched)
        score(plan)
        assert {name: (plan.staging / name).read_bytes() for name in files} == unbroken
    assert seen == [("train", "train016"), ("test", "test000")]


@pytest.mark.usefixtures("parts_run_here")
def test_a_shard_is_done_only_when_its_paintings_are_seen(
    hand_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: the marker is there first, and what comes after a kill is missing for ever."""

    def killed(*_: Any) -> Looks:
        raise KeyboardInterrupt

    plan = plan_score(hand_made.workspace, hand_made.journeys, CONFIG)
    with Store(hand_made.workspace).writer(plan.ref):
        with monkeypatch.context() as patch:
            patch.setattr("segspade_core.metrics.painting.look", killed)
            with pytest.raises(KeyboardInterrupt):
                score(plan)
        assert not list((plan.staging).glob("done/train-00000*"))
        assert score(plan)["counts"] == {"train": 18, "test": 3}


class Eye(torch.nn.Module):
    """For Inception: the mean colour."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (images.float().mean((2, 3)),)


@pytest.mark.usefixtures("parts_run_here")
def test_a_file_of_weights_makes_fid(hand_made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: the file found while planning is not the one that looks, or its digest is not told."""
    file = tmp_path / "inception.pth"
    file.write_bytes(b"weights")
    read: list[tuple[bytes, str]] = []

    def load(content: bytes, source: str) -> torch.nn.Module:
        read.append((content, source))
        return Eye()

    monkeypatch.setattr("segspade_core.metrics.inception.load_inception", load)
    judges._network.cache_clear()
    config = CONFIG.model_copy(update={"quality": QualityConfig(inception=str(file))})
    plan = plan_score(hand_made.workspace, hand_made.journeys, config)
    with Store(hand_made.workspace).writer(plan.ref):
        # as a worker in another process gets it
        score(Plan.model_validate_json(plan.model_dump_json()))
    judges._network.cache_clear()
    assert read == [(b"weights", str(file))]
    found = json.loads((plan.staging / "scores.json").read_text())["painting"]["train"]["painted_true"]
    assert found["scores"]["fid"]["value"] > 0
    digest = hashlib.sha256(b"weights").hexdigest()
    assert f"not the published ones (sha256 {digest[:8]})" in found["scores"]["fid"]["extractor"]


def test_the_key_says_which_weights_looked(hand_made: Any, tmp_path: Path) -> None:
    """Fault: a path in the key, or 'auto', which may mean another thing tomorrow."""

    def plan(**quality: str) -> Plan:
        config = CONFIG.model_copy(update={"quality": QualityConfig(**quality)})
        return plan_score(hand_made.workspace, hand_made.journeys, config)

    for name, content in (("a.pth", b"one"), ("b.pth", b"one"), ("c.pth", b"two")):
        (tmp_path / name).write_bytes(content)
    none = plan(inception="none", lpips="none")
    assert plan(inception="auto", lpips="auto").key == none.key
    assert none.config["quality"]["inception"] == "none"
    a, b, c = (plan(inception=str(tmp_path / name)) for name in ("a.pth", "b.pth", "c.pth"))
    assert a.key == b.key
    assert len({a.key, c.key, none.key}) == 3
    assert a.config["quality"]["inception"].startswith("sha256:7692c3ad3540bb80")
    assert a.places == {"inception": tmp_path / "a.pth"}
    with pytest.raises(InputError, match=r"gone\.pth: no such file; score_quality\.inception is 'auto'"):
        plan(inception=str(tmp_path / "gone.pth"))


def test_the_key_knows_every_map_and_the_tolerance(hand_made: Any) -> None:
    def key(journeys: Any, config: ScoreConfig) -> str:
        return plan_score(hand_made.workspace, journeys, config).key

    train, test = hand_made.journeys
    keys = {
        key([train, test], CONFIG),
        key([train, test], CONFIG.model_copy(update={"boundary_tolerance": 0.01})),
        key([train.model_copy(update={"cycle": train.resegmented}), test], CONFIG),
        key([train], ScoreConfig(splits=("train",))),
        key([train, test], CONFIG.model_copy(update={"resolution": "network"})),
    }
    assert len(keys) == 5


def test_journeys_and_splits_must_be_the_same(hand_made: Any) -> None:
    train, test = hand_made.journeys
    with pytest.raises(InputError, match=r"scores of train, test want one journey of each; there are train$"):
        plan_score(hand_made.workspace, [train], CONFIG)
    other = test.model_copy(update={"generator": test.segmenter})
    with pytest.raises(InputError, match="one dataset, one segmenter and one generator"):
        plan_score(hand_made.workspace, [train, other], CONFIG)
