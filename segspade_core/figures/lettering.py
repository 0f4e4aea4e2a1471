"""Text on pictures: in letters that a font has, and within the width that there is for it."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_NOBODYS = "\U0010ffff"  # no character, so no font has it: drawn as the box that stands for what is lacking
_MORE = "…"


def lettered(text: str, size: float) -> tuple[str, Font]:
    """A line of text as it can be drawn, and the font for it.

    Pillow's own font has Basic Latin alone; what needs more is set in the DejaVu Sans that comes with
    matplotlib. What that lacks too loses its accents, else becomes "?", as does what cannot be printed.

    Args:
        text: anything, such as a file's name.
        size: of the letters, in pixels.
    """
    # names of files come with letters and accents apart on some systems
    text = "".join(letter if letter.isprintable() else "?" for letter in unicodedata.normalize("NFC", text))
    fonts = _fonts(size)
    for font in fonts:
        if all(_has(font, letter) for letter in text):
            return text, font
    return "".join(_nearest(fonts[-1], letter) for letter in text), fonts[-1]


def shortened(text: str, font: Font, width: float) -> str:
    """The text, with "…" for some of its middle where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    fewest, most = 0, len(text)  # letters kept: as many as fit
    while fewest < most:
        kept = (fewest + most + 1) // 2
        if font.getlength(_both_ends(text, kept)) <= width:
            fewest = kept
        else:
            most = kept - 1
    return _both_ends(text, fewest)


def wrapped(text: str, font: Font, width: float) -> list[str]:
    """The text in lines no wider than `width` pixels; a word that is wider is `shortened`."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(word, font, width))
    return lines


def _both_ends(text: str, kept: int) -> str:
    return text[: kept - kept // 2] + _MORE + text[len(text) - kept // 2 :]


@lru_cache
def _fonts(size: float) -> list[Font]:
    found = find_spec("matplotlib")  # found, not imported: that takes longer than the picture
    places = [Path(place) for place in (found.submodule_search_locations or [])] if found else []
    files = [place / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf" for place in places]
    # distributions that keep fonts elsewhere take this one out of matplotlib
    return [
        ImageFont.load_default(size),
        *(ImageFont.truetype(file, size) for file in files if file.exists()),
    ]


def _has(font: Font, letter: str) -> bool:
    drawn, lacking = font.getmask(letter), font.getmask(_NOBODYS)
    return drawn.size != lacking.size or bytes(drawn) != bytes(lacking)


def _nearest(font: Font, letter: str) -> str:
    if _has(font, letter):
        return letter
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return plain if plain and all(_has(font, part) for part in plain) else "?"
