"""Who looks at painted images: the run's segmenter, and published networks where their weights are there."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segspade_core.config import QualityConfig
from segspade_core.metrics.painting_names import ALEXNET, INCEPTION
from segspade_core.metrics.painting_weights import WeightsFile, find_weights
from tasks.models import segmenter_of
from tasks.plan import Plan
from tasks.stage import tell

if TYPE_CHECKING:
    import torch
    from torch import nn

    from segspade_core.metrics.painting import Judges


def find_judges(config: QualityConfig) -> tuple[dict[str, Any], dict[str, Path]]:
    """The config as it enters the key, with weights by their content; and name → file of what looks.

    Raises:
        InputError: a file that is named is not there, or one in the cache is damaged.
    """
    found: dict[str, WeightsFile | None] = {
        "inception": find_weights(config.inception, INCEPTION, fetch=True, tell=tell),
        "lpips": find_weights(config.lpips, ALEXNET, fetch=False, tell=tell),
    }
    digests = {name: "none" if file is None else f"sha256:{file.sha256}" for name, file in found.items()}
    return config.model_dump(mode="json") | digests, {
        name: file.path for name, file in found.items() if file is not None
    }


def judges_of(plan: Plan) -> Judges:
    """All of them, on the device that the plan's runtime asks for. Hold `accelerator_turn` meanwhile."""
    from segspade_core.metrics.painting import Judges

    segmenter, device = segmenter_of(plan.workspace, plan.input("segmenter"), plan.runtime)
    networks = {name: _network(name, path, device) for name, path in plan.places.items()}
    return Judges(segmenter, device, **networks)


@lru_cache(maxsize=2)
def _network(name: str, path: Path, device: torch.device) -> nn.Module:
    from segspade_core.metrics.inception import load_inception
    from segspade_core.metrics.lpips import load_lpips

    load = {"inception": load_inception, "lpips": load_lpips}[name]
    return load(path.read_bytes(), str(path)).to(device)
