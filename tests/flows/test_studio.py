"""`segspade studio` in a real browser: open, paint, undo, ask, cycle, save; by mouse, by keys, on a phone."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from servers import ended

from segspade_core.labels import ids_to_colours

pytestmark = [pytest.mark.browser, pytest.mark.slow]
IDS = np.repeat(np.repeat(np.array([[23, 23, 11], [7, 8, 7]], np.uint8), 32, 0), 64, 1)


@pytest.fixture(scope="module")
def studio(
    command: list[str], command_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of a studio with the models that ship; fails in the end if it printed a traceback."""
    home = tmp_path_factory.mktemp("studio")
    errors = home / "stderr"
    words = [*command, "studio", "--port", "0", "-w", str(home / "none")]
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            words, env=command_environment, cwd=home, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
        ended(process, signal.SIGTERM),
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("the studio is at http://127.0.0.1:"), line
        yield line.split()[4]
        assert "Traceback" not in errors.read_text()


@pytest.fixture
def scene(page: Page, studio: str, tmp_path: Path) -> Page:
    """The page with a label map on it, opened as a file of official colours."""
    page.set_viewport_size({"width": 1400, "height": 1000})
    open_map(page, studio, tmp_path)
    return page


def open_map(page: Page, studio: str, folder: Path) -> None:
    path = folder / "street_color.png"
    Image.fromarray(ids_to_colours(IDS)).save(path)
    page.goto(studio)
    upload(page, "#open", path)
    expect(page.locator("#told")).to_contain_text("It came with 64x192 pixels, read as a label map")


def upload(page: Page, button: str, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator(button).click()
    chooser.value.set_files(path)


def painting(page: Page) -> str:
    expect(page.locator("#painting img")).to_be_visible()
    return str(page.locator("#painting img").get_attribute("src"))


def repainted(page: Page, before: str) -> str:
    expect(page.locator("#painting img")).not_to_have_attribute("src", before)
    return painting(page)


def stroke(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From and to where, as shares of the map's width and height."""
    box = page.locator("#label-canvas canvas.map").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=5)
    page.mouse.up()


def saved(page: Page) -> dict[str, Any]:
    """Name → content of what is saved: arrays and JSON."""
    with page.expect_download() as download:
        page.locator("#save").click()
    contents: dict[str, Any] = {}
    with zipfile.ZipFile(download.value.path()) as archive:
        for each in archive.namelist():
            content, name = archive.read(each), each.partition("/")[2]
            is_json = name.endswith(".json")
            contents[name] = json.loads(content) if is_json else np.asarray(Image.open(io.BytesIO(content)))
    return contents


def test_it_is_painted_on_undone_and_saved(scene: Page) -> None:
    """Faults: a class is blended with its neighbour; undo leaves the painting; what is saved is older."""
    first = painting(scene)
    scene.locator("#label-canvas .classes").get_by_text("car", exact=True).click()
    stroke(scene, (0.2, 0.75), (0.5, 0.75))
    second = repainted(scene, first)
    expect(scene.locator("#told")).to_have_text(
        re.compile(r"^\s*street_color\.png, \d+x\d+: painted in [\d.]+ s\s*$")
    )
    contents = saved(scene)
    ids = contents["label_ids.png"]
    assert set(np.unique(ids)) == {7, 8, 11, 23, 26}
    height, width = ids.shape
    assert ids[int(height * 0.75), int(width * 0.3)] == 26
    assert ids[int(height * 0.4), int(width * 0.3)] == 23
    assert {"painting.png", "second_label_ids.png", "disagreement.png", "panel.png"} <= set(contents)
    assert "photograph.png" not in contents
    scene.get_by_role("button", name="Undo").click()
    repainted(scene, second)
    undone = saved(scene)["label_ids.png"]
    assert 26 not in undone
    scene.get_by_role("button", name="Redo").click()
    expect(scene.get_by_role("button", name="Redo")).to_be_disabled()


def test_what_is_asked_for_is_painted_and_the_cycle_told(scene: Page) -> None:
    """Fault: a control that changes nothing, or a second map that stays when its first has changed."""
    first = painting(scene)
    scene.locator("#time-of-day input").click()
    scene.get_by_role("option", name="night").click()
    second = repainted(scene, first)
    scene.get_by_text("drawn by number").click()
    third = repainted(scene, second)
    scene.locator("#cycle").click()
    expect(scene.locator("#agreement")).to_contain_text("of pixels are of one class in both maps")
    expect(scene.locator("#second img")).to_be_visible()
    expect(scene.locator("#difference img")).to_be_visible()
    about = saved(scene)["agreement.json"]
    assert (about["time_of_day"], about["style"], about["generator"]) == ("night", "sample:1", "shipped")
    stroke(scene, (0.2, 0.2), (0.3, 0.2))
    repainted(scene, third)
    expect(scene.locator("#second img")).to_have_count(0)
    expect(scene.locator("#agreement")).not_to_contain_text("of pixels")


def test_it_works_by_keys_alone(scene: Page) -> None:
    """Fault: who has no mouse can look, and not paint."""
    first = painting(scene)
    canvas = scene.locator("#label-canvas canvas.map")
    scene.locator("#label-canvas input[value='24']").focus()
    scene.keyboard.press("Space")
    canvas.focus()
    for _ in range(3):
        scene.keyboard.press("Shift+ArrowLeft")
    scene.keyboard.down(" ")
    for _ in range(8):
        scene.keyboard.press("ArrowRight")
    scene.keyboard.up(" ")
    second = repainted(scene, first)
    assert (saved(scene)["label_ids.png"] == 24).sum() > 50
    canvas.focus()
    scene.keyboard.press("Control+z")
    repainted(scene, second)
    assert not (saved(scene)["label_ids.png"] == 24).any()


def test_a_photograph_is_segmented_and_a_street_drawn(scene: Page, tmp_path: Path) -> None:
    photograph = tmp_path / "a street.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photograph)
    upload(scene, "#open", photograph)
    expect(scene.locator("#told")).to_contain_text("It came with 120x160 pixels, read as a photograph")
    expect(scene.locator("#photograph img")).to_be_visible()
    assert {"photograph.png", "overlay.png", "label_ids_full_size.png"} <= set(saved(scene))
    scene.locator("#draw").click()
    expect(scene.locator("#told")).to_contain_text("drawn street 1")


def test_bad_uploads_get_a_sentence_and_leave_what_was_there(scene: Page, tmp_path: Path) -> None:
    first = painting(scene)
    bad = tmp_path / "notes <b>x.jpg"
    bad.write_text("no picture")
    upload(scene, "#open", bad)
    expect(scene.get_by_text("is in no format of pictures that is known here")).to_be_visible()
    blurred = tmp_path / "blurred_labelIds.png"
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(blurred)
    upload(scene, "#open", blurred)
    expect(scene.get_by_text("and the table of labels has 0..33 and 255")).to_be_visible()
    assert painting(scene) == first


def test_a_stroke_that_leaves_the_map_paints_nothing_along_its_edge(scene: Page) -> None:
    first = painting(scene)
    box = scene.locator("#label-canvas canvas.map").bounding_box()
    assert box is not None
    right = box["x"] + box["width"]
    scene.mouse.move(right - 20, box["y"] + 0.25 * box["height"])
    scene.mouse.down()
    for share in (0.25, 0.75):
        scene.mouse.move(right + 80, box["y"] + share * box["height"], steps=3)
    scene.mouse.up()
    repainted(scene, first)
    edge = saved(scene)["label_ids.png"][:, -1] == 26
    assert edge[len(edge) // 4]
    assert not edge[len(edge) // 2 :].any()


def test_a_style_whose_photograph_is_not_there_leaves_the_painting(scene: Page, tmp_path: Path) -> None:
    """Faults: boxes of errors over every picture; the photograph that is opened at last changes nothing."""
    first = painting(scene)
    scene.get_by_text("of another photograph").click()
    expect(scene.locator("#told")).to_contain_text("open a photograph for the style")
    expect(scene.locator("#style-file")).to_be_visible()
    expect(scene.locator(".error")).to_have_count(0)
    assert painting(scene) == first
    path = tmp_path / "evening.png"
    Image.fromarray(np.full((64, 128, 3), (200, 90, 40), np.uint8)).save(path)
    upload(scene, "#style-file", path)
    repainted(scene, first)
    assert saved(scene)["agreement.json"]["style"] == "image:other"


def test_numbers_and_sizes_that_are_none_get_a_sentence(scene: Page) -> None:
    """Fault: 1.5 is rounded, nothing is zero, and what is out of bounds prints a traceback (see `studio`)."""
    first = painting(scene)
    for number, told in {"-1": "'-1'", "99999999999": "'99999999999'", "1.5": "'1.5'", "": "nothing"}.items():
        scene.locator("#seed input").fill(number)
        scene.locator("#draw").click()
        expect(scene.get_by_text(f"street number: {told} was given")).to_be_visible()
    scene.locator("#size input").fill("96x192")
    scene.keyboard.press("Tab")
    expect(scene.locator("#told")).to_contain_text("stays; 96x192 is for the next picture")
    expect(scene.locator(".error")).to_have_count(0)
    assert painting(scene) == first


def test_lists_close_behind_the_tab_key_and_the_brush_tells_its_size(scene: Page) -> None:
    for name in ("#size", "#time-of-day"):
        scene.locator(f"{name} input").focus()
        expect(scene.get_by_role("option").first).to_be_visible()
        scene.keyboard.press("Tab")
        expect(scene.get_by_role("option")).to_have_count(0)
    scene.locator("#label-canvas canvas.map").focus()
    scene.keyboard.press("]")
    expect(scene.locator("#label-canvas output")).to_have_text("11")


def test_a_tall_picture_fits_the_window(scene: Page, tmp_path: Path) -> None:
    path = tmp_path / "tall.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (320, 80, 3), dtype=np.uint8)).save(path)
    first = painting(scene)
    upload(scene, "#open", path)
    repainted(scene, first)
    box = scene.locator("#label-canvas canvas.map").bounding_box()
    shown = scene.locator("#painting img").bounding_box()
    assert box is not None
    assert shown is not None
    assert max(box["height"], shown["height"]) <= 701
    height, width = saved(scene)["label_ids.png"].shape
    assert box["height"] / box["width"] == pytest.approx(height / width, rel=0.02)


def test_on_a_phone_nothing_is_cut_off(page: Page, studio: str, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    open_map(page, studio, tmp_path)
    painting(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("#label-canvas canvas.map").bounding_box()
    assert box is not None
    assert box["width"] > 280
    chosen = page.locator("#label-canvas .classes label:has(input:checked)").bounding_box()
    assert chosen is not None
    assert box["x"] <= chosen["x"]
    assert chosen["x"] + chosen["width"] <= box["x"] + box["width"]
    page.locator("#label-canvas button[data-tool=pick]").click()
    page.locator("#label-canvas canvas.map").click(position={"x": 5, "y": 5})
    expect(page.locator("#label-canvas .chosen")).to_have_text("sky")


def test_nothing_is_fetched_from_elsewhere(page: Page, studio: str) -> None:
    """Fault: fonts or scripts of another host, without which the page is broken where there is no network."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(studio)
    expect(page.locator("#draw")).to_be_visible()
    page.locator("#draw").click()
    painting(page)
    assert [url for url in asked if not url.startswith((studio, "data:", "blob:"))] == []


def test_other_addresses_need_a_password(
    command: list[str], command_environment: dict[str, str], tmp_path: Path
) -> None:
    """Fault: whoever is in the same network paints along, and fills the disk."""
    words = [*command, "studio", "--port", "0", "-w", str(tmp_path / "none")]
    refusals = (
        (["--host", "0.0.0.0"], {}, "set SEGSPADE_STUDIO_PASSWORD to a password"),
        ([], {"SEGSPADE_STUDIO_PASSWORD": "a"}, "SEGSPADE_STUDIO_PASSWORD is shorter than 8 characters"),
    )
    for options, password, sentence in refusals:
        refused = subprocess.run(
            [*words, *options],
            env={**command_environment, **password},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert refused.returncode == 2
        assert sentence in refused.stderr
    environment = {**command_environment, "SEGSPADE_STUDIO_PASSWORD": "a secret"}
    with (
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process,
        ended(process, signal.SIGTERM),
    ):
        assert process.stdout is not None
        address = process.stdout.readline().split()[4].rstrip("/")
        assert httpx.get(f"{address}/config").status_code == 401
        with httpx.Client() as client:
            wrong = client.post(f"{address}/login", data={"username": "segspade", "password": "guess"})
            assert wrong.status_code == 400
            right = client.post(f"{address}/login", data={"username": "segspade", "password": "a secret"})
            assert right.status_code == 200
            assert client.get(f"{address}/config").status_code == 200
