"""Every odd source that is good is accepted, and holds the pixels that the table says."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from bad_inputs.corpus import config_of, make, write
from bad_inputs.good import good
from bad_inputs.odd import CASES, Odd
from segspade_core.datasets.camvid import TO_LABEL_IDS
from storage.arrays import open_split
from storage.store import Store
from storage.tables import read_table

RUNS = [
    pytest.param(case, layout, way, id=f"{case.name}-{layout}-{way}".replace(" ", "_"))
    for case in CASES
    for layout in case.layouts
    for way in case.ways
]


@pytest.mark.usefixtures("plain_ingest")
@pytest.mark.parametrize(("case", "layout", "way"), RUNS)
def test_it_is_accepted_with_these_pixels(case: Odd, layout: str, way: str, tmp_path: Path) -> None:
    """Fault: good data is refused, or stored as something else than was meant."""
    (tmp_path / "given").mkdir()
    city, drawn = good(layout), good(layout)
    case.change(city)
    place = write(city, tmp_path / "given", way)
    if case.on_disk is not None:
        case.on_disk(place, city)
    ref = make(tmp_path / "workspace", place, config_of(**{"layout": layout, **(case.settings or {})}))
    folder = Store(tmp_path / "workspace").path(ref)
    ids = read_table(folder / "train.samples.parquet")["id"]
    assert all(unicodedata.is_normalized("NFC", id) for id in ids)
    arrays = open_split(folder / "train.zarr")
    assert len(arrays["image"]) == 2
    image = drawn.image if case.image is None else case.image(drawn)
    np.testing.assert_array_equal(arrays["image"][0], image)
    label_ids = drawn.label_ids if case.label_ids is None else case.label_ids(drawn)
    wanted = TO_LABEL_IDS[label_ids] if layout == "camvid" else label_ids
    np.testing.assert_array_equal(arrays["label_ids"][0], wanted)
