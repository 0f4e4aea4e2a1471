"""The scores of one set of painted images, each with every choice beside it that moves the number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from segspade_core.config import QualityConfig
from segspade_core.metrics.distances import Features, frechet_distance, kernel_distance
from segspade_core.metrics.lpips import SMALLEST_PX
from segspade_core.metrics.painting import PairScore
from segspade_core.metrics.painting_names import ALEXNET, INCEPTION, Network, ScoreName
from segspade_core.metrics.painting_weights import is_published
from segspade_core.metrics.pairs import LEVELS, SSIM_K1, SSIM_K2, SSIM_SIGMA, SSIM_WINDOW_PX

_FIDELITY = f"torch-fidelity {version('torch-fidelity')}"
_TORCHMETRICS = f"torchmetrics {version('torchmetrics')}"
_STORED = "none: compared at the stored size"
_TO_299 = "to 299x299, bilinear without antialiasing (as TensorFlow 1)"
_PIXELS = "none: pixels are compared"


@dataclass(frozen=True)
class PaintingScore:
    """One number, and what it depends on.

    Attributes:
        value: None where it was left out, or cannot be told; `note` says why.
        count: of painted images, each with its photograph.
        size: of the images, 'HxW'.
        interpolation: what was resized before the comparison, and how.
        extractor: the network that looked, and whose weights; '' where the score was left out.
        settings: whatever else moves the number, and the software.
        note: what a reader must know.
    """

    value: float | None
    count: int
    size: str
    interpolation: str
    extractor: str
    settings: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def inception_scores(
    photographs: Features | None, painted: Features | None, count: int, size: str, config: QualityConfig
) -> dict[ScoreName, PaintingScore]:
    """FID and KID; left out, and why, where there are no features.

    Args:
        photographs: (N, 2048), or None.
        painted: (N, 2048), or None.
        count: N.
        size: of the images, 'HxW'.
        config: whose weights looked, and how KID draws its subsets.
    """
    extractor = _network(config.inception, INCEPTION, f"Inception-v3 of {_FIDELITY}")
    empty = PaintingScore(None, count, size, _TO_299, extractor, {"software": _FIDELITY})
    if photographs is None or painted is None:
        empty = replace(empty, note=f"FID and KID are left out, {_missing(INCEPTION)}")
        return {"fid": empty, "kid": empty}
    return {
        "fid": _frechet(empty, photographs, painted),
        "kid": _kernel(empty, photographs, painted, config),
    }


def segmenter_scores(
    photographs: Features, painted: Features, segmenter: str, size: str, config: QualityConfig
) -> dict[ScoreName, PaintingScore]:
    """What stands in for FID and KID: the same formulas on the segmenter's features, each (N, D)."""
    extractor = f"encoder of {segmenter}, last feature map averaged over the image"
    empty = PaintingScore(None, len(painted), size, _STORED, extractor, {"software": _FIDELITY})
    return {
        "segmenter_frechet": _frechet(empty, photographs, painted),
        "segmenter_kernel": _kernel(empty, photographs, painted, config),
    }


def _frechet(empty: PaintingScore, photographs: Features, painted: Features) -> PaintingScore:
    count, size = painted.shape
    if count < 2:
        return replace(empty, note=_FEW)
    return replace(
        empty,
        value=frechet_distance(photographs, painted),
        settings={"features": size, **empty.settings},
        note="" if count > size else _TOO_LARGE.format(count=count, size=size),
    )


_TOO_LARGE = (
    "Fréchet distances of {count} images with {size} features each are too large, as always with so few "
    "images: compare them only with distances of as many"
)
_FEW = "one image is no distribution: it takes two at least to tell a distance of sets"


def _kernel(
    empty: PaintingScore, photographs: Features, painted: Features, config: QualityConfig
) -> PaintingScore:
    count, size = painted.shape
    if count < 2:
        return replace(empty, note=_FEW)
    found = kernel_distance(photographs, painted, config.kid_subsets, config.kid_subset_size, config.kid_seed)
    settings = {
        "features": size,
        "kernel": "(x·y / features + 1)³",
        "subsets": found.subsets,
        "subset_size": found.subset_size,
        "seed": config.kid_seed,
        "std_over_subsets": found.std,
        **empty.settings,
    }
    return replace(empty, value=found.mean, settings=settings)


def pair_scores(
    pairs: Sequence[PairScore], segmenter: str, size: tuple[int, int], config: QualityConfig
) -> dict[ScoreName, PaintingScore]:
    """Means over the pairs of one split and painting, of images of a size (H, W)."""

    def mean(name: str, extractor: str, settings: dict[str, Any], note: str = "") -> PaintingScore:
        known = [value for pair in pairs if (value := getattr(pair, name)) is not None]
        value = float(np.mean(known)) if known else None
        return PaintingScore(value, len(pairs), f"{size[0]}x{size[1]}", _STORED, extractor, settings, note)

    levels = {"data_range": LEVELS, "channels": "RGB", "software": _TORCHMETRICS}
    window = {"window_px": SSIM_WINDOW_PX, "sigma_px": SSIM_SIGMA, "k1": SSIM_K1, "k2": SSIM_K2}
    identical = sum(pair.identical for pair in pairs)
    alexnet = _network(config.lpips, ALEXNET, "torchvision's AlexNet")
    return {
        "ssim": mean("ssim", _PIXELS, {**window, "borders": "reflected", **levels}),
        "psnr_db": mean(
            "psnr_db",
            _PIXELS,
            {"mean": "of the images' decibels", "identical": identical, **levels},
            f"{identical} of {len(pairs)} painted images are identical to their photographs: infinite PSNR, "
            "left out of the mean"
            if identical
            else "",
        ),
        "lpips": mean("lpips", alexnet, {"software": _TORCHMETRICS}, _no_lpips(alexnet, min(size))),
        "segmenter_difference": mean(
            "segmenter_difference",
            f"encoder of {segmenter}, its five layers",
            {"features": "unit length at every place", "layers": "mean"},
        ),
    }


def _no_lpips(alexnet: str, side_px: int) -> str:
    if not alexnet:
        return f"LPIPS is left out, {_missing(ALEXNET)}"
    return (
        f"LPIPS is left out: it takes images of {SMALLEST_PX} pixels a side" if side_px < SMALLEST_PX else ""
    )


def _network(setting: str, network: Network, name: str) -> str:
    """What looked, and with whose weights; '' where nothing did."""
    if setting == "none":
        return ""
    digest = setting.removeprefix("sha256:")
    whose = (
        "published weights" if is_published(digest, network) else "weights that are not the published ones"
    )
    return f"{name}, {whose} (sha256 {digest[:8]})"


def _missing(network: Network) -> str:
    return (
        f"as there were no weights of {network.name}; the run's own segmenter stands in, under a name of its "
        f"own. {network.remedy}"
    )
