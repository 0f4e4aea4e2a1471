"""The inspector in a real browser, opened from a file: sorted, filtered, looked at; by keys, on a phone."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from segspade_core.figures.inspector import render_inspector, split_script
from segspade_core.figures.sheets import draw_sheets

pytestmark = [pytest.mark.browser, pytest.mark.slow]

COUNT, HEIGHT, WIDTH = 40, 24, 48
# of frame i: the larger i, the better it is segmented, but for the last, of which nothing is known
MIOU = [index / COUNT for index in range(COUNT - 1)] + [float("nan")]
# the frames in another order, from 5 down to 1
LOSS = [5 - (7 * index % COUNT) / 10 for index in range(COUNT)]
CITIES = ("bonn", "ulm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames on three sheets: frame i is grey of i * 6, and has a car if i is a multiple of 5."""
    made = tmp_path_factory.mktemp("report")
    greys = np.arange(COUNT, dtype=np.uint8) * 6
    photo = np.zeros((COUNT, HEIGHT, WIDTH, 3), np.uint8) + greys[:, None, None, None]
    true = np.full((COUNT, HEIGHT, WIDTH), 7, np.uint8)
    true[::5, 4:8, 4:8] = 26
    predicted = np.full_like(true, 7)
    sheets = []
    (made / "inspector" / "val").mkdir(parents=True)
    for number, start in enumerate(range(0, COUNT, 16)):
        part = slice(start, start + 16)
        pictures = {"photo": photo[part], "true": true[part], "predicted": predicted[part]}
        sheets.append(draw_sheets(pictures, WIDTH))
        contents = {"photographs.jpg": sheets[-1].photographs, "maps.png": sheets[-1].maps}
        contents |= {f"thumbnail-{name}.jpg": content for name, content in sheets[-1].thumbnails.items()}
        for name, content in contents.items():
            (made / "inspector" / "val" / f"{number:05}-{name}").write_bytes(content)
    ids = [name_of(index) for index in range(COUNT)]
    cities = [CITIES[index % 2] for index in range(COUNT)]
    rows = pd.DataFrame({"id": ids, "city": cities, "time_of_day": [None] * COUNT})
    scores = {"miou": MIOU, "pixel_accuracy": MIOU, "loss": LOSS}
    table = pd.DataFrame({"split": "val", "id": ids, "comparison": "segmenter", **scores})
    (made / "inspector" / "val.js").write_text(split_script("val", rows, table, sheets, (HEIGHT, WIDTH)))
    (made / "inspector.html").write_text(render_inspector("A city", ["val"]))
    return made


def name_of(index: int) -> str:
    return f"{CITIES[index % 2]} #{index:03} 50%"


@pytest.fixture
def opened(page: Page, folder: Path) -> Callable[..., Page]:
    def open_(fragment: str = "", width: int = 1400) -> Page:
        page.goto("about:blank")
        page.set_viewport_size({"width": width, "height": 700})
        page.goto((folder / "inspector.html").as_uri() + fragment)
        return page

    return open_


def titles(page: Page) -> list[str]:
    """Names of the first frames, as they stand on the page."""
    frames = page.locator(".frame").evaluate_all("all => all.map(one => [+one.dataset.place, one.title])")
    return [title for _, title in sorted(frames)]


def test_the_worst_come_first_and_what_is_unknown_last(opened: Callable[..., Page]) -> None:
    """Faults: sorted as text, so that 10 comes before 9; a frame without a value is the worst of all."""
    page = opened()
    assert titles(page)[:20] == [name_of(index) for index in range(20)]
    page.locator("#order").select_option("-1")
    assert titles(page)[:3] == [name_of(38), name_of(37), name_of(36)]
    page.mouse.wheel(0, 10_000)
    expect(page.locator(f'.frame[title="{name_of(39)}"]')).to_be_visible()


def test_by_loss_the_highest_is_the_worst(opened: Callable[..., Page]) -> None:
    """Faults: the best twenty come first; a loss is shown as a share."""
    page = opened()
    page.locator("#sort").select_option(label="loss of the segmenter")
    worst = sorted(range(COUNT), key=lambda index: -LOSS[index])
    assert titles(page)[:20] == [name_of(index) for index in worst[:20]]
    assert page.locator(".frame b").first.text_content() == "5.00"
    page.locator("#order").select_option("-1")
    assert titles(page)[0] == name_of(worst[-1])


def test_filters_leave_what_is_asked_for(opened: Callable[..., Page]) -> None:
    page = opened()
    page.locator("#class").select_option(label="car")
    assert titles(page) == [name_of(index) for index in range(0, COUNT, 5)]
    page.locator("#city").select_option(label="ulm")
    assert titles(page) == [name_of(index) for index in range(5, COUNT, 10)]
    expect(page.locator("#told")).to_contain_text("4 of 40 frames")
    page.locator("#name").fill("#015")
    assert titles(page) == [name_of(15)]
    # no time of day is known: there is nothing to choose
    expect(page.locator("#time")).to_be_hidden()


def test_a_frame_is_looked_at_closely_and_the_next_by_arrow_keys(opened: Callable[..., Page]) -> None:
    """Fault: the cell of another frame is shown, above all on the last sheet, which is shorter."""
    page = opened()
    page.locator(".frame").first.click()
    expect(page.locator("#heading")).to_have_text(name_of(0))
    for _ in range(38):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#heading")).to_have_text(name_of(38))
    grey = page.locator("#stage").screenshot()
    pixels = np.asarray(_open(grey))
    height, width = pixels.shape[:2]
    assert abs(int(pixels[height // 2, width // 4, 0]) - 38 * 6) <= 3  # left of the slider: the photograph
    assert tuple(pixels[height // 2, 3 * width // 4, :3]) == (128, 64, 128)  # right of it: road
    page.locator("#slide").fill("100")
    pixels = np.asarray(_open(page.locator("#stage").screenshot()))
    assert abs(int(pixels[height // 2, 3 * width // 4, 0]) - 38 * 6) <= 3
    page.locator("#slide").fill("50")
    page.keyboard.press("Escape")
    expect(page.locator("#look")).to_be_hidden()
    # and one is where one was
    assert page.evaluate("document.activeElement.title") == name_of(38)


def _open(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_a_link_lands_on_its_frame(opened: Callable[..., Page]) -> None:
    """Fault: a name with a sign of its own in addresses (#, %, a space) is not found."""
    page = opened(f"#val/{quote(name_of(17))}")
    expect(page.locator("#heading")).to_have_text(name_of(17))
    page.keyboard.press("ArrowRight")
    assert page.url.endswith(f"#val/{quote(name_of(18))}")


def test_a_link_to_no_frame_says_so_and_shows_the_others(opened: Callable[..., Page]) -> None:
    """Faults: silence; a hash that is typed by hand and is no good address leaves an empty page."""
    for name in ("nobody", "50%"):
        page = opened(f"#val/{name}")
        expect(page.locator("#told")).to_contain_text(f"There is no frame “{name}” among these 40")
        assert len(titles(page)) > 3
    page.locator("#sort").select_option(label="name")
    assert page.locator("#order option").all_text_contents() == ["a to z", "z to a"]


def test_the_grid_is_walked_by_keys(opened: Callable[..., Page]) -> None:
    page = opened()
    page.locator(".frame").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.title") == name_of(1)
    for _ in range(30):
        page.keyboard.press("ArrowDown")
    place = page.evaluate("+document.activeElement.dataset.place")
    assert place >= COUNT - 8
    page.keyboard.press("Enter")
    expect(page.locator("#look")).to_be_visible()


def test_on_a_phone_nothing_is_cut_off(opened: Callable[..., Page]) -> None:
    page = opened(width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".frame").first.click()
    expect(page.locator("#stage")).to_be_visible()
    box = page.locator("#look").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert page.locator("#look").evaluate("one => one.scrollWidth <= one.clientWidth")
