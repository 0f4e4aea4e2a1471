"""Plot, film strip, sentences and page of a cycle that goes round and round."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segspade_core.figures.cycle_depth import depth_plot
from segspade_core.figures.cycle_depth_page import deaths_sentence, render_depth, rest_sentence
from segspade_core.figures.film_strip import FilmSample, film_strip, shown_rounds
from segspade_core.labels import ids_to_colours
from segspade_core.metrics.cycle_depth import DepthTally
from segspade_core.metrics.cycle_depth_tables import Depth, summarise_depth

ROAD, CAR, SKY = 7, 26, 23


def depth(*cars: int) -> Depth:
    """20 x 20 pixels of sky and road, and so many of cars in each round."""
    maps = []
    for count in cars:
        flat = np.full(400, ROAD, np.uint8)
        flat[:100], flat[400 - count :] = SKY, CAR if count else ROAD
        maps.append(flat.reshape(20, 20))
    tally = DepthTally(len(cars) - 1)
    tally.add("a", iter(maps))
    return summarise_depth(tally)


def plot(found: Depth) -> str:
    return depth_plot(found.per_round, found.per_class, found.summary["deaths"]["classes"], 100)


def lines(drawing: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'<polyline points="([^"]*)"', drawing)
    return [[tuple(map(float, pair.split(","))) for pair in points.split()] for points in found]  # type: ignore[misc]


def test_every_round_is_drawn_within_its_frame() -> None:
    """Fault: a class that is gone lies at minus infinity; the round before of round 0 is drawn as NaN."""
    drawing = plot(depth(120, 60, 0, 0))
    assert "nan" not in drawing
    assert "inf" not in drawing
    drawn = lines(drawing)
    assert [len(points) for points in drawn] == [4, 3] * 3 + [4] + [4] * 3
    height = float(re.findall(r'viewBox="0 0 \S+ (\S+)"', drawing)[0])
    assert all(56 <= x <= 624 and 0 <= y <= height for points in drawn for x, y in points)
    assert "car, dead in round 2" in drawing


def test_agreement_that_falls_goes_down_and_a_dead_class_lies_on_the_floor() -> None:
    """Fault: the axis upside down; the dead class's colour on another's line."""
    drawing = plot(depth(120, 60, 0, 0))
    accuracy = lines(drawing)[0]
    assert accuracy[0][1] < accuracy[1][1] < accuracy[2][1] == accuracy[3][1]
    car = lines(drawing)[-1]
    half = car[1][1] - car[0][1]
    assert car[2][1] == car[3][1]
    # on a log axis that ends at a hundredth, a half lies 15 % down
    assert half / (car[2][1] - car[0][1]) == pytest.approx(np.log10(2) / 2, abs=0.01)


def test_one_round_of_no_change_can_be_drawn() -> None:
    drawing = plot(depth(120, 120))
    assert "nan" not in drawing
    assert "A cycle of 1 round<" in drawing


@given(st.integers(1, 50), st.integers(2, 12))
def test_rounds_shown_are_some_with_both_ends(rounds: int, most: int) -> None:
    shown = shown_rounds(rounds, most)
    assert shown == sorted(set(shown))
    assert (shown[0], shown[-1]) == (0, rounds)
    assert len(shown) == min(rounds + 1, most)


def test_the_film_has_a_row_a_frame_and_a_column_a_round() -> None:
    """Fault: frames and rounds transposed; maps blended; the painting of another round above a map."""
    levels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    ids = np.array([[7, 11, 21], [23, 24, 26]], np.uint8)
    samples = [
        FilmSample(
            f"frame {row}",
            [np.full((8, 16, 3), 20 + 10 * level, np.uint8) for level in levels[row]],
            [np.full((8, 16), label, np.uint8) for label in ids[row]],
        )
        for row in range(2)
    ]
    picture = np.asarray(Image.open(io.BytesIO(film_strip(samples, [0, 1, 8]))))
    for row in range(2):
        for column in range(3):
            left, top = 6 + column * 22 + 8, 40 + row * 46 + 4
            assert (picture[top, left] == 20 + 10 * levels[row, column]).all()
            assert (picture[top + 10, left] == ids_to_colours(ids[row, column])).all()


def test_films_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        film_strip([], [0])
    with pytest.raises(ValueError, match="1 images and 0 maps for 2 rounds"):
        film_strip([FilmSample("a", [np.zeros((8, 8, 3), np.uint8)], [])], [0, 1])


def test_the_sentences() -> None:
    found = depth(120, 60, 0, 0).summary
    assert rest_sentence(found) == (
        "It comes to rest in round 3: from then on less than 0.50% of the pixels change in a round, in the "
        "last one 0.00%."
    )
    assert deaths_sentence(found) == (
        "1 of the 3 classes of 100 pixels or more in the first maps dies: car in round 2; dead is what has, "
        "for good, less than 5% of the pixels it had in the first maps."
    )
    moving = depth(120, 0).summary
    assert rest_sentence(moving) == (
        "It does not come to rest in 1 round: in the last one 30.00% of the pixels still change; rest is "
        "less than 0.50%."
    )
    none = "None of the 3 classes of 100 pixels or more in the first maps dies; dead is"
    assert deaths_sentence(depth(120, 110).summary).startswith(none)


def test_the_dead_are_of_the_classes_that_were_looked_at() -> None:
    """Fault: '0 of 2 classes' beside a table of three, and nobody says which are counted."""
    found = depth(99, 0).summary
    assert found["by_round"][0]["classes"] == 3
    assert deaths_sentence(found).startswith("None of the 2 classes of 100 pixels or more in the first maps")


def test_a_long_list_of_the_dead_is_cut() -> None:
    dead: list[dict[str, Any]] = [{"name": f"c{at}", "round": 1} for at in range(9)]
    told = deaths_sentence({"deaths": {"below": 0.05, "least_pixels": 1, "of": 20, "classes": dead}})
    assert told.startswith("9 of the 20 classes of 1 pixel or more in the first maps die: c0 in round 1, ")
    assert "c5 in round 1 and 3 more; dead" in told


def test_the_page_needs_nothing_beside_itself_and_escapes_names() -> None:
    found = depth(120, 60, 0, 0)
    film = film_strip([FilmSample("a", [np.zeros((8, 8, 3), np.uint8)], [np.zeros((8, 8), np.uint8)])], [0])
    page = render_depth(found.summary, found.per_class, {"dataset": "<b>"}, plot(found), film)
    assert "<td>&lt;b&gt;</td>" in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert deaths_sentence(found.summary) in page
    (car,) = re.findall(r"</span>car</th>(.*?)</tr>", page, re.S)
    assert re.findall(r'<td class="n">(.*?)</td>', car) == ["30.00 %", "15.00 %", "–", "–", "2"]
