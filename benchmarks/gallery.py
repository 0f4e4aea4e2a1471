"""How quick the inspector is with many frames: seconds to open, to sort and to filter, memory, size on disk.

Frames are drawn once and repeated: names, values and sheets are as many as are asked for. In Chromium
without a screen, from files.

    python benchmarks/gallery.py --frames 500 5000
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from playwright.sync_api import Page, sync_playwright

from segspade_core.config import MinicityConfig
from segspade_core.datasets.minicity import draw_frame
from segspade_core.figures.inspector import render_inspector, split_script
from segspade_core.figures.sheets import Sheets, draw_sheets

SIZE = (192, 384)
SHARD = 16


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    pictures = draw()
    print(
        "| frames | MB on disk | open, s | sort, ms | filter, ms | next frame, ms | memory of the page, MB |"
    )
    print("|---|---|---|---|---|---|---|")
    for count in asked.frames:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), pictures, count)
            size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
            told = [measure(Path(folder), asked.chromium) for _ in range(asked.rounds)]
            opened, sorted_, filtered, further, memory = map(statistics.median, zip(*told, strict=True))
            print(
                f"| {count:,} | {size / 1e6:.0f} | {opened:.2f} | {1e3 * sorted_:.0f} | {1e3 * filtered:.0f} "
                f"| {1e3 * further:.0f} | {memory:.0f} |",
                flush=True,
            )


def draw() -> dict[str, np.ndarray]:
    """Sixteen streets, with the pictures that a journey makes of each."""
    config = MinicityConfig(train=SHARD, val=0, size=SIZE)
    samples = [draw_frame(config, "train", index).sample for index in range(SHARD)]
    photo = np.stack([sample.image for sample in samples])
    true = np.stack([sample.label_ids for sample in samples if sample.label_ids is not None])
    moved = np.roll(true, 6, axis=2)
    painted = np.roll(photo, 6, axis=2)
    maps = {"true": true, "predicted": moved, "second": np.roll(true, 9, axis=1)}
    return {"photo": photo, "painted_predicted": painted, "painted_true": painted, **maps}


def write(folder: Path, pictures: dict[str, np.ndarray], count: int) -> None:
    """A page of `count` frames; every sheet is a file of its own, as a browser keeps what it has seen."""
    random = np.random.default_rng(0)
    place = folder / "inspector" / "val"
    place.mkdir(parents=True)
    sheets = draw_sheets(pictures, SIZE[1])
    known: list[Sheets] = []
    for number in range(-(-count // SHARD)):
        for name, content in sheets.thumbnails.items():
            (place / f"{number:05}-thumbnail-{name}.jpg").write_bytes(content)
        (place / f"{number:05}-photographs.jpg").write_bytes(sheets.photographs)
        (place / f"{number:05}-maps.png").write_bytes(sheets.maps)
        known.append(Sheets({}, b"", b"", sheets.columns, sheets.classes[: count - number * SHARD]))
    ids = [f"city_{index:06}_000019" for index in range(count)]
    rows = pd.DataFrame(
        {"id": ids, "city": random.choice(["bonn", "ulm", "jena"], count), "time_of_day": "day"}
    )
    scores = {"miou": random.random(count), "pixel_accuracy": random.random(count)}
    table = pd.concat(
        [
            pd.DataFrame({"split": "val", "id": ids, "comparison": comparison, **scores})
            for comparison in ("segmenter", "cycle", "painted_true")
        ]
    )
    (folder / "inspector" / "val.js").write_text(split_script("val", rows, table, known, SIZE))
    (folder / "inspector.html").write_text(render_inspector("Many frames", ["val"]))


def measure(folder: Path, chromium: str) -> tuple[float, ...]:
    """Seconds to open, sort, filter and go on by a frame, each with its pictures; MB of the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        began = time.perf_counter()
        page.goto((folder / "inspector.html").as_uri())
        page.wait_for_selector(".frame")
        settle(page)
        opened = time.perf_counter() - began
        sorted_ = timed(page, "find('order').value = '-1'; arrange();")
        filtered = timed(page, "find('city').value = '1'; arrange();")
        timed(page, "open(0)")
        further = timed(page, "open(1)")
        for place in range(0, 60, 12):  # as somebody does who looks around
            timed(page, f"look.close(); window.scrollTo(0, {place} * 400); paint(); open({place})")
        memory = max(
            child.memory_info().rss for child in family() if "--type=renderer" in " ".join(child.cmdline())
        )
        browser.close()
    return opened, sorted_, filtered, further, memory / 1e6


def timed(page: Page, script: str) -> float:
    """Seconds until what `script` changed is on the screen."""
    began = time.perf_counter()
    page.evaluate(script)
    settle(page)
    return time.perf_counter() - began


def settle(page: Page) -> None:
    """Until the pictures are there, and two frames are drawn."""
    page.evaluate(
        """async () => {
        const drawn = [...document.querySelectorAll("div")].map((each) => each.style.backgroundImage);
        await Promise.all([...new Set(drawn.filter(Boolean))].map((each) => {
            const image = new Image();
            image.src = each.slice(5, -2);
            return image.decode();
        }));
        for (let turn = 0; turn < 2; turn++) await new Promise(requestAnimationFrame);
    }"""
    )


def family() -> list[psutil.Process]:
    """Every process that this one has started."""
    return psutil.Process().children(recursive=True)


if __name__ == "__main__":
    main()
