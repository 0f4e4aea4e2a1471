"""The documentation as a site: built without a warning, whole, and without a request to anywhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import yaml
from chromium import page as chromium
from PIL import Image
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from flows.cli.options import load_run_config, read_settings
from segspade_core.config import (
    GeneratorConfig,
    GeneratorImportConfig,
    IngestConfig,
    QualityConfig,
    SegmenterConfig,
)
from segspade_core.datasets.camvid import TO_LABEL_IDS
from segspade_core.datasets.decode import load_sample
from segspade_core.datasets.index import find_samples
from segspade_core.datasets.source import open_source
from segspade_core.errors import InputError
from segspade_core.labels import NAMES

__all__ = ["chromium"]  # a fixture

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MOST_BYTES = 150_000  # of a picture that docs/make_figures.py made
STAGES: dict[str, Any] = {
    "train-segmenter": SegmenterConfig,
    "find-lr": SegmenterConfig,
    "train-generator": GeneratorConfig,
    "import-generator": GeneratorImportConfig,
    "score": QualityConfig,
}


class Page(HTMLParser):
    """What a page of the site is put together of, and where it leads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.parts: list[str] = []  # what a browser fetches by itself
        self.links: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.ids |= {attributes[name] for name in ("id", "name") if name in attributes}
        self.parts += [attributes[name] for name in ("src", "data", "poster") if name in attributes]
        if tag == "link" and attributes.get("rel") not in ("canonical", "prev", "next"):
            self.parts.append(attributes["href"])
        elif tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr + done.stdout
    return folder


def _named(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for each in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else ():
        yield from _named(each)


@pytest.mark.slow
def test_every_page_is_there_and_in_the_navigation(site: Path) -> None:
    """Fault: a page that nobody finds, or one that is named and missing."""
    named = list(_named(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    written = {path.relative_to(ROOT / "docs").as_posix() for path in PAGES[1:]}
    assert sorted(named) == sorted(written)
    for page in named:
        assert (site / page).with_suffix(".html").is_file()
    assert not list(site.rglob("*.py"))


@pytest.mark.slow
def test_nothing_is_fetched_from_another_host(site: Path) -> None:
    """Fault: a font or a script of elsewhere, without which the page is broken where there is no network."""
    for path in site.rglob("*.html"):
        for part in Page(path).parts:
            assert not urlsplit(part).netloc, f"{path}: {part}"
    for path in site.rglob("*.css"):
        elsewhere = re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//[^)]*", path.read_text())
        assert not elsewhere, path


@pytest.mark.slow
def test_links_lead_somewhere(site: Path) -> None:
    """Fault: a heading was reworded, and links to it lead to the top of its page."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # its links are those of a server's root
        for link in page.links + page.parts:
            where = urlsplit(link)
            if where.scheme or where.netloc:
                continue
            target = (path.parent / unquote(where.path)).resolve() if where.path else path
            assert target.exists(), f"{path.name}: {link}"
            if where.fragment and target in pages:
                # the last is what the theme's own script makes
                there = pages[target].ids | {"__search"}
                assert unquote(where.fragment) in there, f"{path.name}: {link}"


@pytest.mark.slow
def test_docstrings_are_in_the_reference(site: Path) -> None:
    """Fault: a room that moved leaves an empty page."""
    for page, names in {
        "spade": ["segspade_core.spade.SpadeGenerator.forward", "segspade_core.spade.load_generator"],
        "segmentation": ["segspade_core.segmentation.predict"],
        "metrics": ["segspade_core.metrics.segmentation.frequency_weighted_iou"],
        "datasets": ["segspade_core.datasets.source.open_source"],
        "config": ["segspade_core.config.segmenter.SegmenterConfig.epochs"],
        "there_and_back": ["segspade_core.there_and_back.of_photograph"],
        "portable": ["segspade_core.portable.as_onnx"],
        "storage": ["storage.store.Store.resolve", "storage.aliases.Aliases.rollback"],
    }.items():
        assert set(names) <= Page(site / "api" / f"{page}.html").ids


@pytest.mark.slow
@pytest.mark.browser
def test_it_is_read_and_searched_from_a_disk(site: Path, chromium: Tab) -> None:
    """Faults: a search that waits for a server or a script of another host; a page wider than a phone."""
    asked: list[str] = []
    chromium.on("request", lambda request: asked.append(request.url))
    chromium.set_viewport_size({"width": 1400, "height": 1000})
    chromium.goto((site / "index.html").as_uri())
    search = chromium.get_by_role("textbox", name="Search")
    search.click()
    expect(chromium.locator(".md-search-result__meta")).to_contain_text("Type to start searching")
    search.press_sequentially("SpadeGenerator")  # it listens to keys
    found = chromium.locator(".md-search-result__link", has_text="SpadeGenerator").first
    expect(found).to_be_visible()
    found.click()
    expect(chromium.locator("h1, h2").filter(has_text="SpadeGenerator").first).to_be_visible()
    chromium.set_viewport_size({"width": 390, "height": 844})
    for path in site.rglob("*.html"):
        chromium.goto(path.as_uri())
        assert chromium.evaluate("document.documentElement.scrollWidth") <= 390, path
    elsewhere = [url for url in asked if not url.startswith(("file:", "data:", "about:", "blob:"))]
    assert elsewhere == []


def test_pictures_are_small_and_shown() -> None:
    """Fault: a picture of megabytes, or one that no page shows any more."""
    shown = "\n".join(page.read_text() for page in PAGES)
    for path in (ROOT / "docs").rglob("*.jpg"):
        assert path.stat().st_size < MOST_BYTES or path.parent.name != "figures", path
        assert f"({path.relative_to(ROOT / 'docs').as_posix()})" in shown, path


def _typed(page: Path) -> Iterator[list[str]]:
    """The words of every whole `segspade` command in a page's blocks, over as many lines as it takes."""
    text = page.read_text().replace("\\\n", " ")
    for line in re.findall(r"^(?:    )?segspade (.*)$", text, re.M):
        if "[" not in line.split("'")[0] and "|" not in line:
            yield shlex.split(line, comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_documented_settings_are_settings(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a page says `--set` of what is called otherwise by now, or has another range."""
    monkeypatch.chdir(ROOT)
    refused = []
    for words in _typed(page):
        settings = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
        settings = [setting for setting in settings if not re.search(r"[A-Z]{4}", setting)]
        try:
            if words[0] in ("run", "retrain", "deploy") and words[1].startswith("configs/"):
                load_run_config(Path(words[1]), settings)
            elif words[0] in STAGES and settings:
                extra = {"weights": "shipped:minicity"} if words[0] == "import-generator" else {}
                read_settings(STAGES[words[0]], settings, **extra)
        except InputError as error:
            refused.append((words, str(error)))
    assert refused == []


def test_maps_of_ones_own_can_be_ingested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: the script of docs/own-labels.md writes names, sizes or ids that ingest does not take."""
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "own-labels.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    # road, building, a colour of nobody, car
    colours = np.array([[(0, 0, 192), (128, 0, 0)], [(1, 2, 3), (192, 192, 0)]], np.uint8)
    for split in ("train", "val"):
        for folder, pixels in (("photos", colours // 2), ("maps", colours)):
            (tmp_path / "mine" / split / folder).mkdir(parents=True)
            image = Image.fromarray(pixels.repeat(16, 0).repeat(32, 1))
            for name in ("a", "b"):
                image.save(tmp_path / "mine" / split / folder / f"{name}.png")
    exec(script, {})
    config = IngestConfig(layout="cityscapes", size=(32, 64))
    source = open_source(tmp_path / "source")
    found = find_samples(source, config)
    assert (found.problems, source.problems) == ([], [])
    assert {split: len(files) for split, files in found.samples.items()} == {"train": 2, "val": 2}
    label_ids = load_sample(source, found.samples["val"][1], config).sample.label_ids
    assert label_ids is not None
    np.testing.assert_array_equal(label_ids[::16, ::32], [[7, 11], [255, 26]])


def test_the_tables_of_labels_are_the_table() -> None:
    """Fault: a row of docs/own-labels.md or docs/camvid.md names another id."""
    text = (ROOT / "docs" / "own-labels.md").read_text()
    rows = re.findall(r"(?<=\| )(\d+) \| ([a-z ]+?) (?=\|)", text)
    assert {int(label_id): name for label_id, name in rows} == dict(enumerate(NAMES))
    text = (ROOT / "docs" / "camvid.md").read_text()
    rows = re.findall(r"\| (\d+) [a-z]+ \| ([a-z ]+?) \| (\d+) ", text)
    assert {int(own): int(label_id) for own, _, label_id in rows} == dict(enumerate(TO_LABEL_IDS[:12]))
    assert all(NAMES[int(label_id)] == name for _, name, label_id in rows)


@pytest.mark.slow
def test_the_example_of_the_api_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault: the first lines that somebody types are those of an older version."""
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api" / "index.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((100, 200, 3), 99, np.uint8)).save("street.jpg")
    exec(script, {})
    assert re.search(r"'accuracy': .* \(192, 384, 3\)$", capsys.readouterr().out)
