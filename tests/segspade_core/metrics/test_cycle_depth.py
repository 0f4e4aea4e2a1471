"""A cycle that goes round and round: what is counted of it, which classes die, when it rests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segspade_core.metrics.confusion import mean_iou
from segspade_core.metrics.cycle import aggregate, agreement
from segspade_core.metrics.cycle_depth import DepthTally
from segspade_core.metrics.cycle_depth_tables import Depth, at_rest_since, find_deaths, summarise_depth

Maps = npt.NDArray[np.uint8]
ROAD, CAR, SKY, VOID = 7, 26, 23, 255
some = settings(deadline=None, max_examples=40)  # the first example loads the compiled kernel
stacks = hnp.arrays(np.uint8, (4, 6, 8), elements=st.sampled_from([0, ROAD, 11, SKY, CAR, VOID]))


def tally_of(samples: Sequence[Maps], rounds: int | None = None) -> DepthTally:
    tally = DepthTally(len(samples[0]) - 1 if rounds is None else rounds)
    for at, maps in enumerate(samples):
        tally.add(f"s{at}", iter(maps))
    return tally


def depth_of(*samples: Maps, least_pixels: int = 1, **limits: float) -> Depth:
    return summarise_depth(tally_of(samples), least_pixels=least_pixels, **limits)


def scene(cars: int, sky: int = 40) -> Maps:
    """(10, 10): the first pixels sky, the last ones cars, road between them."""
    flat = np.full(100, ROAD, np.uint8)
    flat[:sky] = SKY
    flat[100 - cars :] = CAR
    return flat.reshape(10, 10)


@some
@given(stacks)
def test_agreement_is_that_of_a_cycle_of_one_round(maps: Maps) -> None:
    """Peer: `cycle.agreement` of each pair. Fault: first and before swapped, or truth and prediction."""
    found = depth_of(maps).per_round
    for at in range(1, 4):
        for which, other in (("first", maps[0]), ("before", maps[at - 1])):
            for name, value in agreement(other, maps[at]).items():
                assert found.loc[at, f"{name}_{which}"] == pytest.approx(value, nan_ok=True), (name, which)


@some
@given(stacks, stacks)
def test_rounds_of_several_samples_are_counted_together(a: Maps, b: Maps) -> None:
    """Fault: mIoU as a mean over samples, or boundaries of a sum; shares over one sample's pixels."""
    found = depth_of(a, b)
    joined = np.concatenate([a, b], axis=2)
    slow = tally_of([joined])
    row = found.per_round.loc[3]
    assert row["miou_first"] == pytest.approx(mean_iou(slow.with_first[3]), nan_ok=True)
    assert row["changed"] == pytest.approx(np.mean(joined[3] != joined[2]))
    edges = aggregate([agreement(maps[2], maps[3]) for maps in (a, b)])
    assert row["boundary_f1_before"] == pytest.approx(edges["boundary_f1"], nan_ok=True)
    shares = found.per_class[found.per_class["round"] == 2].set_index("class_id")["share"]
    for class_id, share in shares.items():
        assert share == pytest.approx(np.mean(joined[2] == class_id))
    assert found.summary["samples"] == 2


@some
@given(hnp.arrays(np.uint8, (6, 8), elements=st.sampled_from([ROAD, SKY, CAR])), st.integers(1, 6))
def test_a_cycle_that_changes_nothing_rests_at_once_and_loses_nothing(first: Maps, rounds: int) -> None:
    found = depth_of(np.stack([first] * (rounds + 1)))
    rest = found.summary["rest"]
    assert rest == {"below": 0.005, "reached": True, "since": 1, "changed": 0}
    assert found.summary["deaths"]["classes"] == []
    assert (found.per_round[["accuracy_first", "miou_first", "boundary_f1_first"]] == 1).all(axis=None)
    assert (found.per_round["at_rest"][1:] == 1).all()
    assert (found.per_class["of_first"] == 1).all()


def test_a_class_that_vanishes_in_round_2_dies_in_round_2() -> None:
    """Fault: counted from the round before, or from the first map instead of the first painting."""
    maps = np.stack([scene(20), scene(20), scene(0), scene(0)])
    deaths = depth_of(maps).summary["deaths"]
    assert deaths["classes"] == [
        {"class_id": CAR, "name": "car", "round": 2, "first_pixels": 20, "last_pixels": 0}
    ]
    assert deaths["of"] == 3


def test_by_hand() -> None:
    """20 cars of 100 pixels, then 10: ten became road. IoU: sky 1, road 40/50, car 10/20."""
    found = depth_of(np.stack([scene(20), scene(10), scene(10)]))
    row = found.per_round.loc[1]
    assert row["accuracy_first"] == pytest.approx(0.9)
    assert row["miou_first"] == pytest.approx((1 + 0.8 + 0.5) / 3)
    assert row["changed"] == pytest.approx(0.1)
    assert (found.per_round["classes"] == 3).all()
    assert found.summary["rest"]["since"] == 2
    cars = found.per_class[found.per_class["class_id"] == CAR].set_index("round")
    assert cars["of_first"].tolist() == [1, 0.5, 0.5]
    assert cars["iou_first"].tolist() == [1, 0.5, 0.5]
    assert math.isnan(found.per_round.loc[0, "changed"])
    assert found.summary["by_round"][0]["accuracy_before"] is None


@pytest.mark.parametrize(
    ("counts", "round"),
    [
        ([100, 50, 4, 0], 2),  # below a twentieth, then gone
        ([100, 0, 60, 3], 3),  # came back, and left for good
        ([100, 0, 0, 5], None),  # a twentieth is not below one
        ([100, 100, 100, 4], 3),
        ([9, 0, 0, 0], None),  # too few to begin with
    ],
)
def test_dead_is_what_stays_away(counts: list[int], round: int | None) -> None:
    pixels = np.zeros((4, 34), np.int64)
    pixels[:, CAR] = counts
    found = find_deaths(pixels, 0.05, 10)
    assert [death.round for death in found] == ([] if round is None else [round])


def test_those_that_died_first_come_first_and_of_these_the_larger() -> None:
    pixels = np.zeros((3, 34), np.int64)
    pixels[0, [7, 11, 23, 26]] = [500, 100, 300, 200]
    pixels[1, [7, 11]] = [400, 90]
    pixels[2, 7] = 400
    assert [death.class_id for death in find_deaths(pixels, 0.05, 1)] == [23, 26, 11]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.9))
def test_rest_is_reached_where_nothing_moves_any_more(changed: list[float], below: float) -> None:
    """Peer: the definition, round by round. Fault: a lull in the middle is taken for rest."""
    at_rest = [at for at in range(1, len(changed) + 1) if all(value < below for value in changed[at - 1 :])]
    assert at_rest_since(changed, below) == (at_rest[0] if at_rest else None)


def test_frames_at_rest_are_counted() -> None:
    """One of two frames still moves. Fault: the threshold is held against the share over all frames."""
    still = np.stack([scene(20)] * 3)
    moving = np.stack([scene(20), scene(10), scene(0)])
    found = depth_of(still, moving, rest=0.06)
    assert found.per_round["at_rest"].tolist()[1:] == [0.5, 0.5]
    assert found.per_round["changed"].tolist()[1:] == [0.05, 0.05]
    assert found.summary["rest"]["reached"]
    assert found.per_sample.groupby("id")["changed"].sum().to_dict() == {"s0": 0, "s1": 20}


@some
@given(st.lists(stacks, min_size=2, max_size=4), st.data())
def test_tallies_of_shards_add_and_survive_the_file(samples: list[Maps], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(samples) - 1))
    whole = tally_of(samples)
    second = DepthTally(3)
    for at, maps in enumerate(samples[cut:], start=cut):
        second.add(f"s{at}", iter(maps))
    total = DepthTally.from_json(tally_of(samples[:cut]).to_json()) + DepthTally.from_json(second.to_json())
    assert total.to_json() == whole.to_json()


def test_maps_are_looked_at_one_after_the_other() -> None:
    """Fault: a whole shard of fifty rounds in the memory at once."""
    asked: list[int] = []

    def maps() -> Any:
        for at in range(51):
            asked.append(at)
            yield scene(at)

    tally = DepthTally(50)
    tally.add("a", maps())
    assert asked == list(range(51))
    assert len(tally.samples) == 51


def test_what_does_not_fit_is_refused() -> None:
    tally = DepthTally(2)
    for maps in ([scene(1)] * 2, [scene(1)] * 4):
        with pytest.raises(ValueError, match="maps"):
            tally.add("a", iter(maps))
    with pytest.raises(ValueError, match=r"a map of \(5, 10\) among those of \(10, 10\)"):
        tally.add("b", iter([scene(1)[:5]] * 3))
    with pytest.raises(ValueError, match="do not add"):
        DepthTally(2) + DepthTally(3)
    with pytest.raises(ValueError, match="a cycle goes round once at least"):
        DepthTally(0)
    with pytest.raises(ValueError, match="no samples"):
        summarise_depth(DepthTally(1))


def test_maps_of_void_alone_tell_nothing_and_break_nothing() -> None:
    found = depth_of(np.full((3, 4, 4), VOID, np.uint8))
    assert found.summary["by_round"][2]["miou_first"] is None
    assert found.summary["by_round"][2]["changed"] == 0
    assert found.per_class.empty
