"""Modulation tables: the scale and shift of every different 5x5 patch of label maps, not of every pixel.

gamma and beta are two 3x3 convolutions away from the label map, so a pixel's depend on its 5x5 patch of codes
(label and edge) alone; on photographs' label maps at 256x512 one pixel in ten has a patch of its own. The
hidden activation depends on 3x3 patches alone, of which there are fewer still: products with the nine taps of
the second convolution are made once for each of those, and summed for each 5x5 patch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.spade.fast.buffers import Buffers
from segspade_core.spade.modulation import Spade
from segspade_core.spade.patches.numbering import CENTRE, RowNumbers, parts, windows

_CHUNK_ROWS = 512
_PRODUCTS = 2**23  # numbers at a time, 32 MB


class Modulation:
    """The rows of one SPADE layer's table: scale, then shift, with its batch norm folded in.

    norm(x) * (1 + gamma) + beta = x * scale + shift, where scale = (1 + gamma) / std and
    shift = beta - mean * scale; both are as linear in the hidden activation as gamma and beta are.
    """

    def __init__(self, spade: Spade, num_labels: int) -> None:
        """`spade` with `num_labels` label channels, and a channel of edges where it has one more."""
        norm, shared = spade.param_free_norm, spade.mlp_shared[0]
        assert isinstance(shared, nn.Conv2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        # in float64, since this is done once; on the CPU, since not every device has that
        mean, variance = norm.running_mean.cpu().double(), norm.running_var.cpu().double()
        device, rstd = norm.running_mean.device, (variance + norm.eps).rsqrt()

        def folded(gamma: Tensor, beta: Tensor, one: int) -> Tensor:
            factor = rstd.view(-1, *[1] * (gamma.dim() - 1))
            scale = (gamma.detach().cpu().double() + one) * factor
            shift = beta.detach().cpu().double() - scale * mean.view(factor.shape)
            return torch.cat([scale, shift]).float().to(device)

        gamma, beta = spade.mlp_gamma, spade.mlp_beta
        assert gamma.bias is not None
        assert beta.bias is not None
        weight = folded(gamma.weight, beta.weight, 0)  # (2C, hidden, 3, 3)
        self.taps = weight.flatten(2).permute(2, 1, 0).contiguous()  # (9, hidden, 2C)
        self.bias = folded(gamma.bias, beta.bias, 1)  # (2C,)
        self._code: Tensor | None = None
        if hasattr(spade, "code"):
            of_gamma, of_beta = spade.code.weight.chunk(2)
            self._code = folded(of_gamma, of_beta, 0)  # (2C, Z)
        # the first convolution's weight at each tap for each code, and nothing for outside
        columns = shared.weight.detach().float().flatten(2).permute(2, 1, 0)  # (9, S, hidden)
        labels, edge = columns[:, :num_labels], columns[:, num_labels:]
        columns = torch.cat([labels, labels + edge], dim=1) if edge.shape[1] else labels
        self.outside = columns.shape[1]
        self.columns = F.pad(columns, (0, 0, 0, 1)).flatten(0, 1)  # (9 * codes, hidden)
        assert shared.bias is not None
        self.hidden_bias = shared.bias.detach().float().clone()

    def of_code(self, code: Tensor | None) -> Tensor:
        """(B, Z) → (B, 2C), what the code adds to every row; (0, 2C) without one."""
        if code is None or self._code is None:
            return self.bias.new_empty(0, len(self.bias))
        return F.linear(code, self._code)

    def hidden(self, threes: Tensor) -> Tensor:
        """(M, 9) codes of 3x3 patches → (M, hidden) activations in their centres.

        A patch that is centred outside the image has none: the second convolution pads with zeros, not with
        what the first would make of its bias.
        """
        taps = torch.arange(9, device=threes.device) * (self.outside + 1)
        summed = F.embedding_bag(threes + taps, self.columns, mode="sum") + self.hidden_bias
        return summed.relu_().masked_fill_((threes[:, CENTRE] == self.outside)[:, None], 0)

    def fill(self, out: Tensor, fives: Tensor, hidden: Tensor, buffers: Buffers) -> None:
        """Write rows of the table.

        Args:
            out: (N, 2C), written.
            fives: (N, 9) int32: the 3x3 patches of each 5x5 patch, as rows of `hidden`.
            hidden: (M, hidden) of all 3x3 patches.
            buffers: to work in.
        """
        if len(hidden) < 0.75 * len(fives):
            self._fill_by_taps(out, fives, hidden, buffers)
        else:
            self._fill_by_patches(out, fives, hidden)

    def _fill_by_patches(self, out: Tensor, fives: Tensor, hidden: Tensor) -> None:
        """One product of all taps: less work where nearly every 5x5 patch has 3x3 patches of its own."""
        for start in range(0, len(fives), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            gathered = F.embedding(fives[chunk], hidden).flatten(1)  # (n, 9 * hidden)
            torch.addmm(self.bias, gathered, self.taps.flatten(0, 1), out=out[chunk])

    def _fill_by_taps(self, out: Tensor, fives: Tensor, hidden: Tensor, buffers: Buffers) -> None:
        """Products with every tap, made once for each 3x3 patch and summed for each 5x5 patch."""
        rows, width = len(hidden), out.shape[1]
        bags = fives + torch.arange(9, dtype=torch.int32, device=fives.device) * rows
        # columns in chunks, so that the products stay small and in the cache
        columns = min(width, 128, max(16, _PRODUCTS // (9 * rows)))
        for start in range(0, width, columns):
            chunk = slice(start, start + columns)
            bias = self.bias[chunk]
            products = buffers.take("products of taps", 9, rows, len(bias))
            for index, (tap, product) in enumerate(zip(self.taps, products, strict=True)):
                if index == CENTRE:  # every patch has one: the bias goes in here
                    torch.addmm(bias, hidden, tap[:, chunk], out=product)
                else:
                    torch.mm(hidden, tap[:, chunk], out=product)
            out[:, chunk] = F.embedding_bag(bags, products.flatten(0, 1), mode="sum")

    def everywhere(self, codes: Tensor) -> Tensor:
        """(B, h, w) codes → (B * h * w, 2C): a row for every pixel, by a convolution as in the dense form."""
        padded = F.pad(codes, (1, 1, 1, 1), value=self.outside)
        hidden = self.hidden(padded.unfold(1, 3, 1).unfold(2, 3, 1).reshape(-1, 9))
        weight = self.taps.permute(2, 1, 0).unflatten(2, (3, 3)).contiguous(memory_format=torch.channels_last)
        pictures = hidden.view(*codes.shape, -1).permute(0, 3, 1, 2)
        return F.conv2d(pictures, weight, self.bias, padding=1).permute(0, 2, 3, 1).flatten(0, 2)


class LevelTables:
    """Tables of all SPADE layers at one resolution, which share their patches; kept from call to call.

    A map that was changed a little has few patches that were not met before, so painting it again makes few
    rows. What is kept is bounded; a level that needs more in one call keeps nothing of it.
    """

    def __init__(
        self,
        modulations: dict[str, Modulation],
        row_numbers: Callable[[int], RowNumbers],
        buffers: Buffers,
    ) -> None:
        """`row_numbers` makes a numbering of rows of so many codes; `buffers` are to work in."""
        self._modulations = modulations
        self._row_numbers = row_numbers
        self._buffers = buffers
        self._widths = {name: len(modulation.bias) for name, modulation in modulations.items()}
        self._outside = next(iter(modulations.values())).outside
        self.forget()

    def forget(self) -> None:
        """Free everything."""
        self._patches = self._row_numbers(25)
        self._tables: dict[str, Tensor] = {}
        self._filled = dict.fromkeys(self._modulations, 0)
        self._parts: tuple[tuple[int, int], Tensor, Tensor] | None = None
        self._crowded: Tensor | None = None  # the codes, where a row is made for every pixel

    @property
    def kept_bytes(self) -> int:
        """What the tables take."""
        return sum(table.nbytes for table in self._tables.values())

    def number(self, codes: Tensor, budget_bytes: int) -> Tensor:
        """(B, h, w) int16 codes → (B, h, w) int32: the row of every pixel in this level's tables.

        Args:
            codes: of labels and edges, 0 to `outside` - 1.
            budget_bytes: what the tables may take together if they are to be kept.
        """
        self._crowded = None
        # small pictures have few patches to meet again: twice their pixels is plenty
        self._most = min(budget_bytes // (4 * sum(self._widths.values())), 2 * codes.numel())
        patches, earlier = windows(codes, self._outside), self._patches.count
        numbers = self._patches.number(patches)
        if earlier and self._patches.count > self._most:
            # once more, without those of other maps
            self.forget()
            numbers = self._patches.number(patches)
        count, pixels = self._patches.count, codes.numel()
        if count > self._most and count > 0.75 * pixels and pixels > _CHUNK_ROWS:
            # nearly all pixels differ: nothing is saved, so nothing more is spent on looking
            self._crowded = codes
            numbers = torch.arange(pixels, dtype=torch.int32, device=codes.device)
        return numbers.view(codes.shape)

    def table(self, name: str) -> Tensor:
        """(N, 2C) scale and shift of layer `name`, for the numbers that `number` gave last."""
        if self._crowded is not None:
            return self._modulations[name].everywhere(self._crowded)
        count, filled = self._patches.count, self._filled[name]
        keeps = count <= self._most
        table = self._tables.get(name)
        if table is None or len(table) < count:
            rows = min(2 * count, self._most) if keeps else count
            modulation = self._modulations[name]
            grown = modulation.taps.new_empty(rows, self._widths[name])
            if table is not None:
                grown[:filled] = table[:filled]
            table = grown
        if filled < count:
            fives, threes = self._new_parts(filled, count)
            modulation = self._modulations[name]
            modulation.fill(table[filled:count], fives, modulation.hidden(threes), self._buffers)
        if keeps:
            self._tables[name], self._filled[name] = table, count
        return table

    def of_code(self, name: str, code: Tensor | None) -> Tensor:
        """(B, 2C) that a code adds to all rows of layer `name`; (0, 2C) without one."""
        return self._modulations[name].of_code(code)

    def done(self) -> None:
        """All tables of this call were used: free what is not kept."""
        self._parts = None
        if self._patches.count > self._most:
            self.forget()

    def _new_parts(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """(N, 9) int32 and (M, 9) codes: the different 3x3 patches in patches `start` to `stop`."""
        if self._parts is None or self._parts[0] != (start, stop):
            numbering = self._row_numbers(9)
            fives = numbering.number(parts(self._patches.known(start))).view(-1, 9)
            self._parts = (start, stop), fives, numbering.known()
        return self._parts[1:]
