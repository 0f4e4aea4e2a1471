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

import pytest
import yaml
from chromium import page as chromium
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from flows.cli.options import load_run_config, read_settings
from segspade_core.config import GeneratorConfig, GeneratorImportConfig, QualityConfig, SegmenterConfig

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
    chromium.get_by_role("textbox", name="Search").fill("SpadeGenerator")
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
    for words in _typed(page):
        settings = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
        settings = [setting for setting in settings if not re.search(r"[A-Z]{4}", setting)]
        if words[0] in ("run", "retrain", "deploy") and words[1].startswith("configs/"):
            load_run_config(Path(words[1]), settings)
        elif words[0] in STAGES and settings:
            extra = {"weights": "shipped:minicity"} if words[0] == "import-generator" else {}
            read_settings(STAGES[words[0]], settings, **extra)
