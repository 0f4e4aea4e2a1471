"""Wrong files are told all at once, and no bytes get past. Each kind, word for word: tests/bad_inputs."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segspade_core.datasets.decode import check_sample, load_sample
from segspade_core.datasets.files import BadFile, SampleFiles
from segspade_core.datasets.pixels import decode_label_ids, decode_photograph
from segspade_core.errors import SourceError

AGAIN = "Download or export it again"


def test_loading_stops_with_the_same_line(one):
    """Fault: what was not checked is loaded as something."""
    one.put(one.photo, b"")
    with pytest.raises(SourceError) as error:
        load_sample(*one.files(), one.config)
    assert [str(problem) for problem in error.value.problems] == one.lines()


def test_every_wrong_file_of_a_sample_is_told(one):
    for path in (one.photo, one.label, one.instance):
        one.put(path, b"")
    assert one.lines() == [f"{path}: is empty. {AGAIN}" for path in (one.photo, one.label, one.instance)]


def test_instances_without_labels_must_still_be_made_of_label_ids(one, png):
    one.instance_pixels[0, :4] = 40002
    one.put(one.instance, png.encode(one.instance_pixels))
    source, files = one.files()
    alone = SampleFiles(**{**vars(files), "label_ids": None})
    assert [str(problem) for problem in check_sample(source, alone, one.config)] == [
        f"{one.instance}: instance id 40002 is of label id 40, not in label table 'cityscapes' (in 4 of 320 "
        "pixels). An object's instance id is its label id * 1000 + its number: export the map anew"
    ]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_altered_or_cut_png_is_told_and_never_raises(png, data):
    """Pillow decodes many of these without a word: it skips the checksums of pixels."""
    rng = np.random.default_rng(0)
    content = bytearray(png.encode(rng.integers(0, 34, (9, 7), dtype=np.uint8)))
    if data.draw(st.booleans(), "cut"):
        content = content[: data.draw(st.integers(0, len(content) - 1), "length")]
    else:
        content[data.draw(st.integers(0, len(content) - 1), "byte")] ^= 1 << data.draw(
            st.integers(0, 7), "bit"
        )
    for decode in (decode_label_ids, decode_photograph):
        with pytest.raises(BadFile):
            decode(bytes(content))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"]))
def test_bytes_that_are_no_image_never_get_past(junk, start):
    for decode in (decode_label_ids, decode_photograph):
        with pytest.raises(BadFile):
            decode(start + junk)


def test_a_bomb_is_refused_before_memory_is_asked_for(png):
    content = png.raw(60000, 60000, 8, 0)
    tracemalloc.start()
    try:
        with pytest.raises(BadFile):
            decode_label_ids(content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
