"""The page: parses, needs nothing from elsewhere, escapes names, and says what it should."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from segspade_core.figures.journey import JourneySample
from segspade_core.figures.report import render_report
from segspade_core.figures.report_data import LineageStep, ReportData, TrainingHistory
from segspade_core.metrics.painting_names import ABOUT, ALEXNET, INCEPTION
from segspade_core.metrics.summary import summarise
from segspade_core.metrics.tally import COMPARISONS, Tally

EVIL = "<script>alert('x')</script>\""


def make_data(sample_id: str = "bern_000000_000001", title: str = "A city") -> ReportData:
    rng = np.random.default_rng(0)
    maps = np.full((32, 64), 7, np.uint8)
    maps[:8] = 23
    maps[20:, 20:40] = 26
    other = maps.copy()
    other[20:, 30:40] = 27
    photo = rng.integers(0, 256, (32, 64, 3), dtype=np.uint8)
    tally = Tally()
    for split in ("train", "val"):
        for comparison in COMPARISONS:
            of_photographs: dict[str, Any] = {}
            if comparison == "segmenter":
                cars = np.where(maps == 26, 26000, maps.astype(np.uint16))
                of_photographs = {"instance_ids": cars, "confidence": np.full_like(maps, 204)}
            tally.add(split, comparison, sample_id, maps, other, **of_photographs)
    scores = summarise(tally)
    sample = JourneySample(sample_id, photo, maps, other, photo, photo, other, "dusk")
    steps = pd.DataFrame({"epoch": [1, 1, 2, 2], "step": [1, 2, 3, 4], "loss": [3.0, 2.0, 1.0, 0.5]})
    epochs = pd.DataFrame({"epoch": [1, 2], "val_loss": [2.5, 1.5], "val_miou": [0.1, 0.2]})
    return ReportData(
        title=title,
        summary={**scores.summary, "painting": make_painting(sample_id)},
        per_class=scores.per_class,
        per_category=scores.per_category,
        confusion=scores.confusion,
        journeys={"train": [sample], "val": [sample]},
        facts={"dataset": sample_id},
        lineage=[
            LineageStep("dataset", "0123456789abcdef", "ingest", 1.5, {"source": sample_id}, {"a": sample_id})
        ],
        histories=[TrainingHistory("Segmenter", steps, epochs)],
        notes=["The generator was trained beforehand."],
    )


def make_painting(note: str = "") -> dict[str, Any]:
    """All scores of two sets of images; those by Inception are left out."""

    def score(name: str, value: float) -> dict[str, Any]:
        left_out = name in ("fid", "kid")
        return {
            "value": None if left_out else value,
            "count": 3,
            "size": "32x64",
            "interpolation": "none",
            "extractor": "" if left_out else "an extractor",
            "settings": {"subset_size": int(value), "std_over_subsets": 0.25 if "kernel" in name else 0.0},
            "note": f"{name} {INCEPTION.remedy}" if left_out else note,
        }

    def scores(value: float) -> dict[str, Any]:
        return {name: score(name, value) for name in ABOUT}

    return {
        "train": {"painted_true": {"what": "", "samples": 3, "scores": scores(1.25)}},
        "val": {"painted_predicted": {"what": "", "samples": 1, "scores": scores(-2.5)}},
    }


class Page(HTMLParser):
    """Collects tags and refuses a page whose tags do not nest."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(make_data())


def test_needs_nothing_from_elsewhere(html: str) -> None:
    """Catches a script, a font or a picture that would have to be fetched, and ill-nested tags."""
    page = Page(html)
    assert page.every("script") == []
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action"):
            value = attributes.get(name) or "#"
            assert value.startswith(("data:", "#")), f"{tag} {name}={value[:60]}"
    told = html.replace(INCEPTION.url, "").replace(ALEXNET.url, "")  # addresses to read, not to fetch
    assert not re.search(r"url\(|@import|https?://", told)


def test_every_picture_has_words(html: str) -> None:
    """Catches pictures that a screen reader passes over; 8 pictures of each of 2 samples."""
    page = Page(html)
    pictures = page.every("img")
    assert len(pictures) == 16
    assert all("of bern_000000_000001" in (picture["alt"] or "") for picture in pictures)
    assert all(drawing["aria-label"] for drawing in page.every("svg"))
    assert all("scope" in header for header in page.every("th"))


def test_names_are_escaped_everywhere() -> None:
    """Catches a sample id that runs as a script, in tables, alt texts, configs and the title alike."""
    html = render_report(make_data(EVIL, title=EVIL))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert Page(html).every("script") == []


def test_says_what_it_must(html: str) -> None:
    """Catches a section, a note, a key or a score left out. 120 of 2048 pixels are wrong: 94.1 % right."""
    for expected in (
        "The generator was trained beforehand.",
        "94.1%",
        "dataset/0123456789abcdef",
        "Photograph to labels",
        "Labels to photograph",
        "There and back",
        "boundary F1",
        "absent",
        "not in the true maps",
        "Confused most",
        "dusk",
    ):
        assert expected in html, expected
    assert not re.search(r"\bnan\b", html, re.IGNORECASE)


def test_all_scores_stand_in_the_row_of_their_comparison(html: str) -> None:
    """Catches a score of ids in the row of the 19 classes, and means that count what is absent.

    By hand: of 512 pixels sky, 1296 road and 240 car, 120 of car are taken for truck. Found: 100, 100 and
    50 %, mean 83.3 %. IoU 100, 100, 50 and 0 %, mean 62.5 %, weighted (512 + 1296 + 120) / 2048 = 94.1 %. All
    vehicles stay vehicles. Of the only object half is found: iIoU 50 %, and of truck 0 %, mean 25 %. The
    segmenter was 80 % sure and is right in 94.1 %: 14.1 % lie between.
    """
    row = html[html.index('<th scope="rowgroup" rowspan="2">Segmenter on photographs</th>') :]
    cells = re.findall(r'<td class="n[^"]*">(.*?)</td>', row[: row.index("</tbody>")])
    assert cells[:6] == ["94.1%", "83.3%", "62.5%", "94.1%", "100.0%", cells[5]]
    assert "Maps were compared at\n32x64, the size of the true maps" in html
    further = html[html.index('aria-label="Objects, confidence') :]
    first = further[further.index("<tbody>") :]
    cells = re.findall(r'<td class="n[^"]*">(.*?)</td>', first[: first.index("</tr>")])
    assert cells == ["1", "25.0%", "100.0%", "14.1%", "14.1%", "–", "–"]


def test_reliability_is_drawn_where_confidence_is_known(html: str) -> None:
    """Catches a plot of the wrong comparison: two splits and two views, of the segmenter alone."""
    assert html.count("expected calibration error 14.1%") == 4
    for view in ("label ids", "the 19 official classes"):
        assert html.count(f'aria-label="Reliability over {view}: Segmenter on photographs, val"') == 1


def test_categories_of_both_views_stand_side_by_side(html: str) -> None:
    """Catches a category in the row of another, and void called absent where it is not scored at all."""
    table = html[html.index('aria-label="Categories: Segmenter on photographs, val"') :]
    rows = re.findall(r'<th scope="row">(.*?)</th>\s*(.*?)</tr>', table[: table.index("</table>")], re.DOTALL)
    found = {name: re.findall(r">([^<>]*)</td>", cells) for name, cells in rows}
    assert found["vehicle"] == ["100.0%", "100.0%", "100.0%"]
    assert found["flat"] == ["100.0%", "100.0%", "–"]
    assert found["void"] == ["absent", "not scored", "–"]
    assert found["human"] == ["absent", "absent", "–"]


def test_quality_of_painting_stands_beside_what_moves_it(html: str) -> None:
    """Catches values in the column of another set, and a score left out without a word on how to get it."""
    assert "painted from true maps<br>train, 3 images</th>" in html
    assert "painted from predicted maps<br>val, 1 image</th>" in html
    row = html[html.index('<th scope="row">SSIM<br>') :]
    cells = re.findall(r'<td class="n">(.*?)</td>', row[: row.index("</tr>")])
    assert cells == ["1.250", "−2.500"]
    kernel = html[html.index('<th scope="row">kernel distance of segmenter features (not KID)<br>') :]
    assert re.findall(r'<td class="n">(.*?)</td>', kernel)[:2] == ["1.25 ± 0.25", "−2.50 ± 0.25"]
    fid = html[html.index('<th scope="row">FID<br>') :]
    assert fid[: fid.index("</tr>")].count("left out") == 2
    assert '<p class="note">fid To mend that, name a file of them with score_quality.inception' in html
    assert "subset size 1 / -2" in html
    assert "lower is better" in html


def test_scores_of_an_older_version_have_no_such_section() -> None:
    """Catches a report that cannot be made of scores which are there already."""
    data = make_data()
    summary = {name: part for name, part in data.summary.items() if name != "painting"}
    html = render_report(
        ReportData("Old", summary, data.per_class, data.per_category, data.confusion, data.journeys)
    )
    assert "Quality of painting" not in html
    Page(html)


def test_look_alikes_are_marked(html: str) -> None:
    """Catches the study's pairs drowned among the others: half of the car's pixels became truck."""
    row = '<tr class="alike"><td>car</td><td>truck</td><td class="n">50.0%</td><td class="n">120</td></tr>'
    assert row in html


def test_the_same_data_give_the_same_page(html: str) -> None:
    """Catches times and random names in the page, which would change a report's digest."""
    assert render_report(make_data()) == html


def test_a_page_of_almost_nothing() -> None:
    """Catches a report that fails where there are no scores, no samples and no history."""
    scores = summarise(Tally())
    page = render_report(
        ReportData("Empty", scores.summary, scores.per_class, scores.per_category, scores.confusion, {})
    )
    assert "Empty" in page
    Page(page)


def test_pictures_that_were_not_made_are_left_out() -> None:
    """Catches a test split, which has no true maps, breaking the page."""
    data = make_data()
    full = data.journeys["val"][0]
    partly = JourneySample("no labels", full.photo, None, full.predicted, None, full.photo, full.second)
    html = render_report(
        ReportData("Half", data.summary, data.per_class, data.per_category, data.confusion, {"val": [partly]})
    )
    assert "Labels to photograph" not in html
    assert len(Page(html).every("img")) == 5
