"""What is counted of the label maps of a cycle that goes round and round: photograph → map → painting → map …

The map of round 0 is read off the photograph, that of round r off the painting of the map of round r - 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from segspade_core.labels import NUM_IDS
from segspade_core.metrics.confusion import confusion_of_ids
from segspade_core.metrics.counting import Counts
from segspade_core.metrics.cycle import edge_agreement
from segspade_core.metrics.statistics import label_pixels
from segspade_core.metrics.tally import known


@dataclass(frozen=True)
class SampleRound:
    """One sample in one round. None stands for what cannot be told."""

    id: str
    round: int
    changed: int  # pixels with another label than in the round before; 0 in round 0
    boundary_f1_first: float | None
    boundary_length_ratio_first: float | None
    boundary_f1_before: float | None
    boundary_length_ratio_before: float | None


@dataclass(eq=False)
class DepthTally:
    """Counts of some samples over rounds 0 to `rounds`. Tallies of disjoint sets of samples add.

    Attributes:
        rounds: K, 1 or more.
        size: (H, W) of every map; None before the first sample.
        with_first: (K + 1, 34, 35) counts over label ids: row = label in round 0, column = label in round r.
        with_before: likewise, row = label in round r - 1; zeros in round 0.
        pixels: (K + 1, 35) pixels of every id, and at last those of none.
        samples: a row a sample and round.
    """

    rounds: int
    size: tuple[int, int] | None = None
    with_first: Counts = field(init=False)
    with_before: Counts = field(init=False)
    pixels: Counts = field(init=False)
    samples: list[SampleRound] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}: a cycle goes round once at least")
        self.with_first = np.zeros((self.rounds + 1, NUM_IDS, NUM_IDS + 1), np.int64)
        self.with_before = np.zeros_like(self.with_first)
        self.pixels = np.zeros((self.rounds + 1, NUM_IDS + 1), np.int64)

    def add(
        self, sample_id: str, maps: Iterable[npt.NDArray[np.uint8]], boundary_tolerance: float = 0.0075
    ) -> None:
        """Count one sample; no more than three of its maps are held at a time.

        Args:
            sample_id: what it is called.
            maps: K + 1 of (H, W) uint8 label ids, round 0 first.
            boundary_tolerance: as a fraction of the diagonal.

        Raises:
            ValueError: there are fewer or more maps than rounds, or they differ in size.
        """
        first = before = None
        count = 0
        for label_ids in maps:
            if count > self.rounds:
                raise ValueError(f"{sample_id} has more maps than rounds 0 to {self.rounds}")
            self._check_size(sample_id, label_ids)
            first = label_ids if first is None else first
            self._count(sample_id, count, label_ids, first, before, boundary_tolerance)
            before = label_ids
            count += 1
        if count != self.rounds + 1:
            raise ValueError(f"{sample_id} has {count} maps: rounds 0 to {self.rounds} want one each")

    def _check_size(self, sample_id: str, label_ids: npt.NDArray[np.uint8]) -> None:
        height, width = label_ids.shape
        self.size = self.size or (height, width)
        if self.size != (height, width):
            raise ValueError(f"{sample_id} has a map of {(height, width)} among those of {self.size}")

    def _count(
        self,
        sample_id: str,
        at: int,
        label_ids: npt.NDArray[np.uint8],
        first: npt.NDArray[np.uint8],
        before: npt.NDArray[np.uint8] | None,
        tolerance: float,
    ) -> None:
        self.pixels[at] += label_pixels(label_ids)
        self.with_first[at] += confusion_of_ids(first, label_ids)
        edges = _named(edge_agreement(first, label_ids, tolerance), "first")
        changed = 0
        if before is None:
            edges |= dict.fromkeys(("boundary_f1_before", "boundary_length_ratio_before"))
        else:
            self.with_before[at] += confusion_of_ids(before, label_ids)
            changed = int(np.count_nonzero(before != label_ids))
            edges |= _named(edge_agreement(before, label_ids, tolerance), "before")
        self.samples.append(SampleRound(sample_id, at, changed, **edges))

    def __add__(self, other: DepthTally) -> DepthTally:
        """The sum.

        Raises:
            ValueError: they have other rounds or sizes.
        """
        size = self.size or other.size
        if self.rounds != other.rounds or size != (other.size or size):
            raise ValueError(
                f"tallies of {self.rounds} rounds of {self.size} and of {other.rounds} of {other.size} "
                "do not add"
            )
        total = DepthTally(self.rounds, size, [*self.samples, *other.samples])
        for name in _ARRAYS:
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def to_json(self) -> str:
        """Everything as one line of JSON, of the counts what is not 0; the same tally gives the same text."""
        content: dict[str, Any] = {"rounds": self.rounds, "size": self.size}
        for name in _ARRAYS:
            array = getattr(self, name)
            content[name] = [[*at, int(array[*at])] for at in np.argwhere(array).tolist()]
        content["samples"] = [vars(sample) for sample in self.samples]
        return json.dumps(content, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The tally that `to_json` wrote."""
        content = json.loads(text)
        samples = [SampleRound(**row) for row in content["samples"]]
        size = content["size"]
        tally = cls(content["rounds"], None if size is None else (size[0], size[1]), samples)
        for name in _ARRAYS:
            for *at, pixels in content[name]:
                getattr(tally, name)[*at] = pixels
        return tally


_ARRAYS = ("with_first", "with_before", "pixels")


def _named(edges: dict[str, float], against: str) -> dict[str, float | None]:
    return {f"{name}_{against}": known(value) for name, value in edges.items()}
