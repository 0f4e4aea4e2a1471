"""A network that is used and never trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from torch import Tensor, nn


class FrozenNetwork(nn.Module):
    """Holds a network in evaluation mode, outside the module tree of whoever owns this.

    `parameters()`, `modules()`, `state_dict()` and `train()` of the owner pass it by, so that it is neither
    trained, nor initialised anew, nor saved in every checkpoint; `.to(device)` takes it along. Gradients flow
    through it to what it is given.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        # nn.Module registers modules that are attributes, but not those inside a tuple
        self._held = (network.eval().requires_grad_(False),)

    @property
    def network(self) -> nn.Module:
        """What is held."""
        return self._held[0]

    def forward(self, x: Tensor) -> Any:
        return self.network(x)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What `.to`, `.cpu` and `.cuda` of torch go through."""
        self.network._apply(fn, recurse)
        return super()._apply(fn, recurse)
