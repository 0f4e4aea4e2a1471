"""From label maps to every table of the scores."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pandas as pd
import pytest

from segspade_core.labels import NUM_IDS
from segspade_core.metrics.boundaries import boundary_f1, tolerance_px
from segspade_core.metrics.confusion import confusion_of_ids, confusion_of_train_ids, project_to_train_ids
from segspade_core.metrics.cycle import aggregate, agreement
from segspade_core.metrics.instance_iou import INSTANCE_CLASSES, iiou_per_class
from segspade_core.metrics.score_tables import matrix_of, pairs_of
from segspade_core.metrics.segmentation import SegmentationScores
from segspade_core.metrics.summary import Scores, summarise
from segspade_core.metrics.tally import COMPARISONS, SampleScore, Tally

LEARNED = [id for id in range(NUM_IDS) if id not in (0, 2, 3)]


def random_map(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.repeat(np.repeat(rng.integers(0, NUM_IDS, (4, 6), dtype=np.uint8), 4, 0), 4, 1)


def tally_of(ids: list[str]) -> Tally:
    tally = Tally()
    for id in ids:
        for comparison in COMPARISONS:
            split = "val" if id.startswith("v") else "train"
            tally.add(split, comparison, id, random_map(hash_of(id)), random_map(hash_of(id) + 1))
    return tally


def hash_of(id: str) -> int:
    return sum(id.encode()) * 7


def same(a: Scores, b: Scores) -> None:
    assert a.summary == b.summary
    for name in ("per_class", "per_category", "confusion", "per_sample"):
        pd.testing.assert_frame_equal(getattr(a, name), getattr(b, name))


def test_shards_add_in_any_order() -> None:
    """Catches scores averaged over shards, and tables that show who finished first."""
    whole = summarise(tally_of(["t1", "t2", "v1", "v2"]))
    parts = [tally_of(["v2"]), tally_of(["t2", "v1"]), tally_of(["t1"])]
    same(summarise(sum(parts, Tally())), whole)
    assert list(whole.summary["splits"]) == ["train", "val"]
    assert list(whole.summary["splits"]["val"]) == list(COMPARISONS)
    assert whole.per_sample["id"].tolist()[:2] == ["t1", "t2"]


def test_adding_leaves_the_parts_alone() -> None:
    """Catches counts shared between a part and the sum."""
    part = tally_of(["t1"])
    before = part.to_json()
    total = part + part
    total.add("train", "segmenter", "t9", random_map(1), random_map(2))
    assert part.to_json() == before


def test_a_tally_survives_json_and_pickle() -> None:
    """Catches a shard's counts lost between two tasks."""
    tally = tally_of(["t1", "v1"])
    same(summarise(Tally.from_json(tally.to_json())), summarise(tally))
    same(summarise(pickle.loads(pickle.dumps(tally))), summarise(tally))
    assert Tally.from_json(tally.to_json()).to_json() == tally.to_json()


def test_the_summary_is_json_without_nan() -> None:
    """Catches NaN, which is not JSON, where a split holds nothing but void."""
    tally = Tally()
    for comparison in COMPARISONS:
        tally.add("val", comparison, "v", np.full((4, 4), 255, np.uint8), np.full((4, 4), 7, np.uint8))
    scores = summarise(tally)
    json.dumps(scores.summary, allow_nan=False)
    json.loads(tally.to_json(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    cycle = scores.summary["splits"]["val"]["cycle"]
    assert cycle["ids"]["miou"] is None
    assert cycle["ids"]["classes"] == 0
    assert cycle["boundary_length_ratio"] is None
    assert scores.per_class["absent"].all()


def test_absent_classes_are_said_to_be_absent() -> None:
    """Catches void listed as a class, and absent classes that count as 0.

    By hand: half road and half car; the car is taken for truck, so car and truck have IoU 0, road 1.
    """
    target = np.array([[7, 26]], np.uint8)
    tally = Tally()
    tally.add("val", "segmenter", "v", target, np.array([[7, 27]], np.uint8))
    scores = summarise(tally)
    short = scores.summary["splits"]["val"]["segmenter"]["ids"]
    assert short["miou"] == pytest.approx(1 / 3)
    assert short["pixel_accuracy"] == 0.5
    assert short["classes"] == 3
    assert len(short["absent"]) == len(LEARNED) - 3
    assert "person" in short["absent"]
    assert "truck" not in short["absent"]
    assert "unlabeled" not in short["absent"]
    table = scores.per_class[scores.per_class["class_set"] == "ids"].set_index("name")
    assert list(table["class_id"]) == LEARNED
    assert not table.loc["truck", "absent"]
    assert table.loc["truck", "iou"] == 0
    assert table.loc["truck", "predicted_pixels"] == 1
    assert table.loc["car", "true_pixels"] == 1
    assert bool(table.loc["person", "absent"])
    assert len(scores.per_class[scores.per_class["class_set"] == "train_ids"]) == 19


def test_predicting_void_is_a_miss_and_no_class() -> None:
    """Catches void as a class of IoU 0 in the mean, and as a way to a higher accuracy."""
    tally = Tally()
    tally.add("val", "segmenter", "v", np.array([[7, 7]], np.uint8), np.array([[7, 3]], np.uint8))
    scores = summarise(tally)
    assert scores.summary["splits"]["val"]["segmenter"]["ids"]["miou"] == 0.5
    assert scores.summary["splits"]["val"]["segmenter"]["ids"]["pixel_accuracy"] == 0.5
    assert "(void)" in set(scores.confusion["predicted"])


def test_the_official_matrix_follows_from_the_one_over_ids() -> None:
    """Peer: counting train ids on the pixels. Catches a class projected to the wrong row or column."""
    target, predicted = random_map(3), random_map(4)
    counts = confusion_of_ids(target, predicted)
    np.testing.assert_array_equal(project_to_train_ids(counts), confusion_of_train_ids(target, predicted))


def test_the_matrix_comes_back_from_its_table() -> None:
    """Catches rows and columns exchanged in the long form, and the column of void lost."""
    tally = tally_of(["v1", "v2"])
    scores = summarise(tally)
    expected = tally.counts["val", "cycle"].confusion
    np.testing.assert_array_equal(matrix_of(scores.confusion, "val", "cycle"), expected)
    official = matrix_of(scores.confusion, "val", "cycle", "train_ids")
    np.testing.assert_array_equal(official, project_to_train_ids(expected))
    assert matrix_of(scores.confusion, "train", "cycle").sum() == 0
    first = pairs_of(scores.confusion, "val", "cycle", limit=1)[0]
    row = scores.confusion.query("split == 'val' and comparison == 'cycle' and class_set == 'ids'")
    row = row[(row["true"] == first.true) & (row["predicted"] == first.predicted)]
    assert row["pixels"].tolist() == [first.pixels]


def test_agreement_is_of_the_second_map_with_the_first() -> None:
    """Catches the two maps exchanged: only a void of the first leaves the count."""
    first = np.array([[7, 7, 255, 8]], np.uint8)
    second = np.array([[7, 8, 8, 8]], np.uint8)
    scores = agreement(first, second, boundary_tolerance=0.0075)
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["miou"] == 0.5
    assert scores["boundary_length_ratio"] == 0.5
    assert scores["boundary_f1"] == boundary_f1(first, second, tolerance_px((1, 4), 0.0075))


def test_only_the_cycle_looks_at_boundaries() -> None:
    """Catches boundaries measured against true maps, whose void has edges that are nobody's."""
    scores = summarise(tally_of(["v1"]))
    table = scores.per_sample.set_index("comparison")
    assert table.loc["cycle", "boundary_f1"] >= 0
    assert math.isnan(table.loc["segmenter", "boundary_f1"])
    assert "boundary_f1" not in scores.summary["splits"]["val"]["segmenter"]
    values = agreement(random_map(hash_of("v1")), random_map(hash_of("v1") + 1))
    cycle = scores.summary["splits"]["val"]["cycle"]
    assert cycle["boundary_f1"] == pytest.approx(values["boundary_f1"])
    assert cycle["boundary_length_ratio"] == pytest.approx(values["boundary_length_ratio"])
    assert table.loc["cycle", "miou"] == pytest.approx(values["miou"])


def test_means_leave_out_what_is_not_known() -> None:
    """Catches NaN of one sample spreading to the split."""
    result = aggregate([{"a": 1.0, "b": float("nan")}, {"a": 2.0}, {"a": float("nan")}])
    assert result["a"] == 1.5
    assert math.isnan(result["b"])


def test_an_empty_tally_has_tables_with_columns() -> None:
    """Catches tables without columns where nothing was scored."""
    scores = summarise(Tally())
    assert scores.summary["splits"] == {}
    assert list(scores.per_sample.columns) == list(SampleScore.__annotations__)
    assert "iou" in scores.per_class.columns


def test_an_unknown_comparison_is_refused() -> None:
    """Catches a misspelt comparison that would be a table of its own."""
    with pytest.raises(ValueError, match="comparison 'cyle' is none of segmenter, painted_true"):
        Tally().add("val", "cyle", "v", random_map(1), random_map(2))  # type: ignore[arg-type]


def test_every_table_and_the_summary_say_the_same() -> None:
    """Peer: each score from the counts. Catches a column of another score, set or class."""
    target, predicted = random_map(5), random_map(6)
    predicted[:8] = target[:8]
    instance_ids = np.where(np.isin(target, [24, 26, 33]), target * np.uint16(1000), target).astype(np.uint16)
    tally = Tally()
    tally.add("val", "segmenter", "v", target, predicted, 0.05, instance_ids=instance_ids)
    scores = summarise(tally, 0.05)
    counts = tally.counts["val", "segmenter"]
    short = scores.summary["splits"]["val"]["segmenter"]
    assert counts.instances is not None
    assert counts.size == target.shape
    iiou = iiou_per_class(counts.confusion, counts.instances, target.shape)  # type: ignore[arg-type]
    for class_set, wanted in (
        ("ids", SegmentationScores.of_ids(counts.confusion)),
        ("train_ids", SegmentationScores.of_train_ids(counts.confusion)),
    ):
        own = scores.per_class[scores.per_class["class_set"] == class_set]
        ids = own["class_id"].to_numpy()
        f1 = counts.boundaries[class_set].f1  # type: ignore[index]
        np.testing.assert_array_equal(own["boundary_f1"], f1[ids])
        np.testing.assert_array_equal(own["iou"], wanted.iou[ids])
        np.testing.assert_array_equal(own["accuracy"], wanted.accuracy[ids])
        found = own.set_index("name").loc[list(INSTANCE_CLASSES)]
        np.testing.assert_array_equal(found["iiou"], iiou)
        np.testing.assert_array_equal(found["instances"], counts.instances.instances)
        categories = scores.per_category[scores.per_category["class_set"] == class_set]
        assert dict(zip(categories["name"], categories["iou"], strict=True)) == pytest.approx(
            dict(zip(wanted.categories, wanted.category_iou, strict=True)), nan_ok=True
        )
        told = short[class_set]
        assert told["frequency_weighted_iou"] == wanted.frequency_weighted_iou
        assert told["category_miou"] == wanted.mean_category_iou
        assert told["mean_accuracy"] == wanted.mean_accuracy
        assert told["class_boundary_f1"] == np.nanmean(f1)
    assert short["instances"]["iiou"] == pytest.approx(np.nanmean(iiou))
    assert short["instances"]["count"] == counts.instances.instances.sum() > 0
