"""What a cycle's rounds look like: the table in a terminal, and the page in a browser, wide and narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page
from rich.console import Console

from flows.cli.cycling import _table
from segspade_core.figures.cycle_depth import depth_plot
from segspade_core.figures.cycle_depth_page import render_depth
from segspade_core.figures.film_strip import FilmSample, film_strip
from segspade_core.metrics.cycle_depth import DepthTally
from segspade_core.metrics.cycle_depth_tables import Depth, summarise_depth


@pytest.fixture(scope="module")
def depth() -> Depth:
    """Ten rounds of half a map of road, half of sky, and fewer cars in each round."""
    maps = []
    for cars in range(11, 0, -1):
        label_ids = np.repeat(np.array([[23], [7]], np.uint8), 20, axis=0).repeat(40, axis=1)
        label_ids[:cars, :20] = 26
        maps.append(label_ids)
    tally = DepthTally(10)
    tally.add("a", iter(maps))
    return summarise_depth(tally)


def test_the_table_is_whole_at_80_columns(depth: Depth, capsys: pytest.CaptureFixture[str]) -> None:
    """Fault: headings cut to 'like …  mIoU wi…  bound…  bound…'."""
    Console(width=80).print(_table(depth.summary))
    told = capsys.readouterr().out
    assert "…" not in told
    assert max(map(len, told.splitlines())) <= 80
    assert told.split().count("boundary") == 2
    last = told.splitlines()[-2].split()
    assert len(last) == 9
    assert last[0] == "10"


@pytest.fixture
def drawn(depth: Depth, tmp_path: Path) -> str:
    """Address of the page."""
    plot = depth_plot(depth.per_round, depth.per_class, depth.summary["deaths"]["classes"], 100)
    film = film_strip([FilmSample("a", [np.zeros((8, 8, 3), np.uint8)], [np.zeros((8, 8), np.uint8)])], [0])
    about = {"dataset": "dataset/0123456789abcdef", "style": "image:" + "n" * 99}
    at = tmp_path / "depth.html"
    at.write_text(render_depth(depth.summary, depth.per_class, about, plot, film))
    return at.as_uri()


_BOXES = """() => Object.fromEntries([...document.querySelectorAll('.wide')].map(
    box => [box.getAttribute('aria-label'), [box.clientWidth, box.scrollWidth]]))"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_of_the_page_is_cut_without_a_hint(page: Page, drawn: str, width: int) -> None:
    """Faults: the plots or the page reach over the right edge; columns by round are out of sight at 1280."""
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(drawn)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    plot: Any = page.locator("svg").bounding_box()
    assert plot["x"] + plot["width"] <= width
    # its shape is kept: half as wide, half as high
    high, wide = page.evaluate(
        "(box => [box.height, box.width])(document.querySelector('svg').viewBox.baseVal)"
    )
    assert plot["height"] / plot["width"] == pytest.approx(high / wide, rel=0.01)
    boxes: dict[str, list[int]] = page.evaluate(_BOXES)
    fit = {name for name, (shown, whole) in boxes.items() if whole <= shown}
    assert "Made of" in fit
    assert ("Numbers by round" in fit) is (width == 1280)
    # what scrolls has a shadow there: it takes no more than its background to be seen
    assert "linear-gradient" in page.evaluate(
        "getComputedStyle(document.querySelector('[aria-label=\"Numbers by round\"]')).backgroundImage"
    )
