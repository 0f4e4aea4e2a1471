"""Make the pictures of the documentation that need nothing but the models that ship: `make figures`.

    python docs/make_figures.py [--segmenter NAME] [--generator NAME] [--workspace PATH]

`figures/try-panel.jpg` is what `segspade try` makes of a drawn street, `figures/studio.jpg` the studio in
Debian's Chromium, with the same street and a tree painted into it. Both are kept in the repository.
"""

from __future__ import annotations

import argparse
import io
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "figures"
CHROMIUM = "/usr/bin/chromium"
MOST_BYTES = 150_000
STREET = 6  # number of the drawn street; its city and hour follow from it
COMMAND = [sys.executable, "-c", "from flows.cli import app; app()"]


def put_jpeg(image: Image.Image, path: Path, width: int) -> None:
    """As wide as asked for, in the best quality that stays below MOST_BYTES."""
    small = image.convert("RGB")
    if small.width > width:
        small = small.resize((width, round(small.height * width / small.width)), Image.Resampling.LANCZOS)
    for quality in range(92, 40, -4):
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        if buffer.tell() < MOST_BYTES:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(buffer.getvalue())
            print(f"{path.relative_to(ROOT)}: {small.width}x{small.height}, {buffer.tell() / 1000:.0f} kB")
            return
    raise SystemExit(f"{path}: larger than {MOST_BYTES} bytes in any quality; make it narrower")


def try_panel(models: Sequence[str], folder: Path) -> None:
    """The sheet of `segspade try`."""
    city = [str(folder / "city"), "--train", "1", "--val", "0", "--size", "192x384", "--seed", str(STREET)]
    subprocess.run([*COMMAND, "minicity", *city], cwd=ROOT, check=True)
    (photograph,) = (folder / "city").rglob("*_leftImg8bit.png")
    street = photograph.rename(folder / "street.png")
    words = ["try", str(street), "--out", str(folder), "--time-of-day", "day", *models]
    subprocess.run([*COMMAND, *words], cwd=ROOT, check=True)
    with Image.open(folder / "street" / "panel.png") as panel:
        put_jpeg(panel, FIGURES / "try-panel.jpg", 1200)


def studio(models: Sequence[str], folder: Path) -> None:
    """The page, with a drawn street, one stroke of the brush and the cycle."""
    words = [*COMMAND, "studio", "--port", "0", *models]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[4]
            put_jpeg(_shot(address, folder), FIGURES / "studio.jpg", 1200)
        finally:
            process.send_signal(signal.SIGINT)


def _shot(address: str, folder: Path) -> Image.Image:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        expect.set_options(timeout=120_000)
        page.goto(address)
        page.locator("#seed input").fill(str(STREET))
        page.locator("#draw").click()
        painting = page.locator("#painting img")
        expect(painting).to_be_visible()
        before = str(painting.get_attribute("src"))
        page.get_by_text("vegetation", exact=True).click()
        page.locator("#label-canvas input[type=range]").fill("31")
        _stroke(page)
        expect(painting).not_to_have_attribute("src", before)
        page.locator("#cycle").click()
        expect(page.locator("#difference img")).to_be_visible()
        page.mouse.move(0, 0)
        page.screenshot(path=folder / "studio.png", full_page=True)
        browser.close()
    with Image.open(folder / "studio.png") as image:
        image.load()
        return image


def _stroke(page: Any) -> None:
    box = page.locator("#label-canvas canvas.map").bounding_box()
    x = box["x"] + 0.74 * box["width"]
    page.mouse.move(x, box["y"] + 0.36 * box["height"])
    page.mouse.down()
    page.mouse.move(x + 0.04 * box["width"], box["y"] + 0.4 * box["height"], steps=5)
    page.mouse.up()


def main() -> None:
    """Make both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--segmenter", default="shipped")
    parser.add_argument("--generator", default="shipped")
    parser.add_argument("--workspace", default="workspace")
    given = parser.parse_args()
    models = [word for name, value in vars(given).items() for word in (f"--{name}", value)]
    with tempfile.TemporaryDirectory() as folder:
        try_panel(models, Path(folder))
        studio(models, Path(folder))


if __name__ == "__main__":
    main()
