"""The modulation of SPADE layers for different label patches alone, not for every pixel: exact, for training.

What tables.py does for a trained network, here with gradients: gamma and beta at a pixel depend on its 5x5
patch of codes alone, so both convolutions are done once for each different patch, and looked up for pixels;
backwards, a patch's gradient is the sum over its pixels.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from segspade_core.spade.patches.lookups import sum_taps
from segspade_core.spade.patches.numbering import CENTRE, HashedRows, RowNumbers, SortedRows, parts, windows
from segspade_core.spade.semantics import label_channels, shrink_semantics

# of the pixels; with more different 3x3 patches the convolutions are cheaper than looking up
_MOST_THREES = 0.5


@dataclass(frozen=True)
class Patches:
    """The different label patches at one resolution."""

    pixels: Tensor  # (B, h, w) int32: the 5x5 patch of every pixel
    fives: Tensor  # (N, 9) int32: the 3x3 patches of every 5x5 patch
    threes: Tensor  # (M, 9) int32: the codes of every 3x3 patch
    outside: int  # the code of what is beyond the borders

    def table(self, shared: Weights, second: Weights) -> Tensor:
        """What the two convolutions of a SPADE layer give for every 5x5 patch.

        Args:
            shared: weight (hidden, S, 3, 3) and bias (hidden,).
            second: weight (2C, hidden, 3, 3) and bias (2C,), of gamma and beta.

        Returns:
            (N, 2C): gamma beside beta.
        """
        hidden = self._hidden(*shared)  # (M, hidden)
        weight, bias = second
        taps = weight.flatten(2).permute(1, 2, 0)  # (hidden, 9, 2C)
        return sum_taps((hidden @ taps.flatten(1)).unflatten(1, (9, -1)), self.fives, bias)

    def _hidden(self, weight: Tensor, bias: Tensor) -> Tensor:
        columns = weight.flatten(2).permute(1, 2, 0)  # (S, 9, hidden)
        if len(columns) < self.outside:
            # the last channel is that of edges: codes in the second half have it too
            columns = torch.cat([columns[:-1], columns[:-1] + columns[-1:]])
        columns = F.pad(columns, (0, 0, 0, 0, 0, 1))  # nothing for outside
        summed = sum_taps(columns, self.threes, bias)
        # a patch centred outside has no hidden activation: the second convolution pads with zeros
        inside = (self.threes[:, CENTRE] != self.outside)[:, None]
        return summed.relu() * inside


Weights = tuple[Tensor, Tensor]


class LabelPyramid:
    """Label maps as a generator takes them in training: patches where these are few, else dense semantics."""

    def __init__(
        self, label_ids: Tensor, instance_edges: Tensor | None, semantics: Tensor, num_labels: int
    ) -> None:
        """Of (B, H, W) label ids, (B, H, W) bool edges, and their (B, S, H, W) `one_hot_semantics`."""
        codes = label_channels(label_ids)
        if instance_edges is not None:
            codes = codes + num_labels * instance_edges
        self.outside = num_labels * (1 if instance_edges is None else 2)
        self.codes, self.semantics = codes.to(torch.int16), semantics
        self.shape = semantics.shape

    def at(self, factor: int) -> Patches | Tensor:
        """Both sides divided by `factor`, as `shrink_semantics` does."""
        codes = self.codes[:, ::factor, ::factor].contiguous()
        fives = self._numbering(25)
        pixels = fives.number(windows(codes, self.outside)).view(codes.shape)
        threes = self._numbering(9)
        of_fives = threes.number(parts(fives.known())).view(-1, 9)
        if threes.count > _MOST_THREES * codes.numel():
            return shrink_semantics(self.semantics, factor)
        return Patches(pixels, of_fives, threes.known().int(), self.outside)

    def _numbering(self, width: int) -> RowNumbers:
        if self.codes.device.type == "cpu":
            with suppress(ImportError):  # no Numba here
                return HashedRows(width)
        return SortedRows(width, self.outside + 1, self.codes.device)
