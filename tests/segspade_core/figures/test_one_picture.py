"""The sheet of one picture: what is written on it stays within its cell and in letters that are there."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from segspade_core.figures import lettering
from segspade_core.figures.lettering import lettered, shortened, wrapped
from segspade_core.figures.one_picture import picture_sheet
from segspade_core.metrics.cycle import agreement
from segspade_core.there_and_back import ThereAndBack

Written = list[tuple[float, float, float, float, str]]  # left, top, right, bottom


def result(height: int, width: int, first: int = 7, photograph: bool = True) -> ThereAndBack:
    maps = [np.full((height, width), label, np.uint8) for label in (first, 7)]
    pixels = np.full((height, width, 3), 120, np.uint8)
    return ThereAndBack(pixels if photograph else None, maps[0], pixels, maps[1], agreement(*maps))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """Every text that is drawn, and the box around it."""
    found: Written = []
    draw = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, at: tuple[float, float], content: str, **options: object) -> None:
        box = self.textbbox(at, content, font=options["font"])  # type: ignore[arg-type]
        found.append((*box, content))
        draw(self, at, content, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return found


@pytest.mark.parametrize("photograph", [True, False])
@pytest.mark.parametrize("size", [(640, 64), (576, 224), (224, 576), (64, 640)])
def test_no_text_is_cut_or_lies_on_another(written: Written, size: tuple[int, int], photograph: bool) -> None:
    """Faults: captions of narrow pictures run into each other; a long name or note leaves the sheet."""
    note = (
        "segmenter: segmenter/0123456789abcdef; generator: generator/0123456789abcdef; style: image:"
        + "n" * 99
    )
    sheet = picture_sheet(result(*size, photograph=photograph), "b" * 60 + "m" * 60 + ".jpg", note)
    width, height = Image.open(io.BytesIO(sheet)).size
    assert len(written) >= 8
    for at, (left, top, right, bottom, text) in enumerate(written):
        assert 0 <= left < right <= width, text
        assert 0 <= top < bottom <= height, text
        for other in written[:at]:
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert apart, f"{text!r} lies on {other[-1]!r}"
    heading = written[0][-1]
    assert heading.startswith("bbb")
    assert heading.endswith("m.jpg")
    assert ("…" in heading) is (width < 1400)
    said = " ".join(text for *_, text in written)
    assert "where the maps differ (red): 100.0% of pixels agree" in said


def test_pictures_keep_clear_of_what_is_written(written: Written) -> None:
    """Fault: captions of two lines reach into the picture, or the note sits on the captions."""
    sheet = np.asarray(Image.open(io.BytesIO(picture_sheet(result(200, 64), "name", "a note"))))
    captions = {text: box for *box, text in written}
    assert captions["photograph"][1] - captions["a note"][3] >= 8
    rows = np.flatnonzero((sheet[:, 12] == 120).all(axis=-1))
    assert len(rows) == 400, "a picture is covered"
    for first, last in ((rows[0], rows[199]), (rows[200], rows[399])):
        assert not [text for _, top, _, bottom, text in written if top <= last and bottom > first]


def test_a_map_of_void_has_nothing_to_compare(written: Written) -> None:
    """Fault: 'nan% of pixels agree'."""
    picture_sheet(result(64, 640, first=255), "void.png")
    texts = [text for *_, text in written]
    assert "nothing to compare: the map is all void" in texts
    assert not any("nan" in text for text in texts)


def test_letters_are_those_that_a_font_has() -> None:
    """Faults: boxes for letters beyond Basic Latin; accents apart from their letters; a new line."""
    assert lettered("plain name.jpg", 13)[0] == "plain name.jpg"
    assert lettered("ünïcode", 13)[0] == "ünïcode"
    assert lettered("u\u0308", 13)[0] == "ü"
    assert lettered("улица 街 \udcff\n.png", 13)[0] == "улица ? ??.png"
    # to be seen: neither is the box
    text, font = lettered("ü", 13)
    assert bytes(font.getmask(text)) != bytes(font.getmask("\U0010ffff"))


def test_without_a_second_font_letters_lose_their_accents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a matplotlib without its fonts ends the command, or boxes are drawn."""
    monkeypatch.setattr(lettering, "find_spec", lambda _: None)
    lettering._fonts.cache_clear()
    try:
        assert lettered("ünïcode улица", 13)[0] == "unicode ?????"
    finally:
        lettering._fonts.cache_clear()


@given(st.text(max_size=80), st.integers(40, 400))
def test_lines_are_no_wider_than_there_is_room(text: str, width: int) -> None:
    drawn, font = lettered(text, 13)
    lines = [*wrapped(drawn, font, width), shortened(drawn, font, width)]
    assert all(font.getlength(line) <= width for line in lines)
    if font.getlength(drawn) <= width:
        assert lines[-1] == drawn


def test_what_is_cut_is_the_middle_and_no_more_than_must_be() -> None:
    _, font = lettered("", 18)
    name = "begin" + "x" * 100 + "end.jpg"
    short = shortened(name, font, 300)
    assert short.startswith("begin")
    assert short.endswith("end.jpg")
    assert 300 - font.getlength("xx") < font.getlength(short) <= 300
