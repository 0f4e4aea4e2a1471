"""The code that a picture is painted by, beside its label map: style, city and time of day in one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import InputError
from segspade_core.spade.semantics import described


def code_dim(architecture: GeneratorArchitecture) -> int:
    """Numbers of the code: those of the style, and `condition_dim` for each condition that is known."""
    conditions = bool(architecture.cities) + bool(architecture.times_of_day)
    return architecture.style_dim + conditions * architecture.condition_dim


def check_code(architecture: GeneratorArchitecture, code: Tensor, batch: int, dtype: torch.dtype) -> None:
    """Raise InputError unless `code` is (batch, Z) of `dtype`, as the generator takes it."""
    length = code_dim(architecture)
    if not length:
        raise InputError("this generator paints from the label map alone: leave the code out")
    if not isinstance(code, Tensor) or code.dtype != dtype:
        raise InputError(f"the code is {described(code)}; this generator takes a tensor of {dtype}")
    if code.shape != (batch, length):
        raise InputError(f"the code has shape {tuple(code.shape)}; this generator takes {(batch, length)}")


class CodeBook(nn.Module):
    """Joins a style code with learned embeddings of city and time of day."""

    def __init__(self, architecture: GeneratorArchitecture) -> None:
        super().__init__()
        self.style_dim = architecture.style_dim
        self.names = {"city": architecture.cities, "time_of_day": architecture.times_of_day}
        for condition, names in self.names.items():
            if names:
                self.add_module(condition, nn.Embedding(len(names), architecture.condition_dim))

    def forward(self, style: Tensor | None, indices: dict[str, Tensor], batch: int) -> Tensor:
        """The codes of a batch.

        Args:
            style: (B, style_dim) float32; None is the mean style, zeros.
            indices: 'city' and 'time_of_day' → (B,) int64 into the architecture's names; -1, or a
                condition that is left out, counts as unknown: the mean of all embeddings.
            batch: B.

        Returns:
            (B, code_dim) float32.

        Raises:
            InputError: the style codes are of another length.
        """
        if style is not None and style.shape != (batch, self.style_dim):
            raise InputError(
                f"the style code has shape {tuple(style.shape)}; this generator takes "
                f"{(batch, self.style_dim)}"
            )
        parts = [torch.zeros(batch, self.style_dim) if style is None else style]
        for condition, names in self.names.items():
            if names:
                table: Tensor = self.get_submodule(condition).weight  # type: ignore[assignment]
                rows = torch.cat([table, table.mean(dim=0, keepdim=True)])
                chosen = indices.get(condition)
                # the last row stands for -1
                index = torch.full((batch,), -1) if chosen is None else chosen
                parts.append(rows[index.to(rows.device)])
        return torch.cat([part.to(parts[-1].device) for part in parts], dim=1)
