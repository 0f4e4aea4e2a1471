"""Minicity: street scenes drawn in perspective, with exact label ids and instance ids.

`style` says what a city looks like, `street` what stands where; the painters (`ground`, `buildings`,
`nature`, `furniture`, `vehicles`, `people`, `ego`) draw it far to near on a `Canvas`, and `light` turns
surfaces into a photograph. `write` puts frames on disk in the official Cityscapes layout.
"""

from segspade_core.datasets.minicity.frame import MinicityFrame, draw_frame
from segspade_core.datasets.minicity.naming import FrameName, sample_of
from segspade_core.datasets.minicity.write import INDEX_FILE, write_frame, write_index

__all__ = [
    "INDEX_FILE",
    "FrameName",
    "MinicityFrame",
    "draw_frame",
    "sample_of",
    "write_frame",
    "write_index",
]
