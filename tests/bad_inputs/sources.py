"""All broken sources."""

from __future__ import annotations

from bad_inputs import archives, disks, label_maps, names, photographs
from bad_inputs.corpus import Case

CASES: tuple[Case, ...] = (
    *photographs.CASES,
    *label_maps.CASES,
    *names.CASES,
    *disks.CASES,
    *archives.CASES,
)
