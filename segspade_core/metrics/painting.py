"""Look at painted images and at the photographs of the same frames, a shard at a time: looks add."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from segspade_core.metrics.inception import inception_features
from segspade_core.metrics.lpips import lpips
from segspade_core.metrics.painting_names import Painting
from segspade_core.metrics.pairs import feature_difference, psnr_db, ssim
from segspade_core.segmentation.features import encoder_features
from segspade_core.segmentation.model import Segmenter
from segspade_core.training.checkpoint import pack_weights, unpack_weights

Extractor = Literal["inception", "segmenter"]
Images = npt.NDArray[np.uint8]
PHOTOGRAPHS = "photographs"


@dataclass(frozen=True)
class Judges:
    """The networks that look. None of the last two where their weights are missing."""

    segmenter: Segmenter
    device: torch.device
    inception: nn.Module | None = None
    lpips: nn.Module | None = None


@dataclass(frozen=True)
class PairScore:
    """A painted image against the photograph of its frame. `psnr_db` is None where they are identical."""

    split: str
    painting: Painting
    id: str
    ssim: float
    psnr_db: float | None
    identical: bool
    lpips: float | None
    segmenter_difference: float


@dataclass
class Looks:
    """What was seen of some samples. Looks at disjoint sets of samples add up.

    Attributes:
        pairs: one row a sample and painting.
        features: (split, 'photographs' or painting, extractor) → (N, D) float32.
    """

    pairs: list[PairScore] = field(default_factory=list)
    features: dict[tuple[str, str, str], npt.NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def sum(cls, parts: Iterable[Looks]) -> Self:
        """The looks at all samples of some parts, in the order of the parts."""
        pairs: list[PairScore] = []
        features: dict[tuple[str, str, str], list[npt.NDArray[np.float32]]] = {}
        for part in parts:
            pairs += part.pairs
            for at, rows in part.features.items():
                features.setdefault(at, []).append(rows)
        return cls(pairs, {at: np.concatenate(rows) for at, rows in features.items()})

    def to_bytes(self) -> bytes:
        """Everything as a safetensors file; the same looks give the same bytes."""
        features = {"/".join(at): torch.from_numpy(rows) for at, rows in sorted(self.features.items())}
        return pack_weights(features, {"pairs": [asdict(pair) for pair in self.pairs]})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The looks that `to_bytes` wrote."""
        features, about = unpack_weights(content, "looks")
        return cls(
            [PairScore(**row) for row in about["pairs"]],
            {_place(name): rows.numpy() for name, rows in features.items()},
        )


def _place(name: str) -> tuple[str, str, str]:
    split, images, extractor = name.split("/")
    return split, images, extractor


def look(
    split: str, ids: Sequence[str], photographs: Images, paintings: Mapping[Painting, Images], judges: Judges
) -> Looks:
    """Compare paintings with photographs at their own size, one image at a time.

    One at a time, so that no result depends on its neighbours, and memory on the size of one image.

    Args:
        split: that the samples are of.
        ids: of the N samples.
        photographs: (N, H, W, 3) uint8.
        paintings: of the same frames, each (N, H, W, 3) uint8.
        judges: that look.

    Raises:
        ValueError: photographs and paintings differ in size or number.
    """
    for name, images in paintings.items():
        if images.shape != photographs.shape or len(ids) != len(images):
            raise ValueError(
                f"{name} is {images.shape}, the photographs are {photographs.shape}, of {len(ids)} samples"
            )
    # channels last as in prediction: which kernels run must not depend on what ran before
    judges.segmenter.to(judges.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    looks = Looks()
    seen: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in (PHOTOGRAPHS, *paintings)}
    for row, id in enumerate(ids):
        photograph = _pixels(photographs[row], judges.device)
        layers = encoder_features(judges.segmenter, photograph / 255)
        seen[PHOTOGRAPHS].append(_pooled(layers))
        for name, images in paintings.items():
            painted = _pixels(images[row], judges.device)
            own = encoder_features(judges.segmenter, painted / 255)
            seen[name].append(_pooled(own))
            looks.pairs.append(
                PairScore(
                    split,
                    name,
                    id,
                    **_alike(photograph, painted),
                    lpips=_lpips(judges, photograph, painted),
                    segmenter_difference=feature_difference(layers, own),
                )
            )
    looks.features |= {(split, what, "segmenter"): np.stack(rows) for what, rows in seen.items()}
    if judges.inception is not None:
        for what, images in ((PHOTOGRAPHS, photographs), *paintings.items()):
            features = inception_features(judges.inception, images, judges.device)
            looks.features[split, what, "inception"] = features
    return looks


def _pixels(image: Images, device: torch.device) -> Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) float32 in [0, 255]."""
    return torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None].float()


def _pooled(layers: Sequence[Tensor]) -> npt.NDArray[np.float32]:
    """(D,): the mean over all places of the last layer."""
    pooled: npt.NDArray[np.float32] = layers[-1][0].mean((1, 2)).cpu().numpy()
    return pooled


def _lpips(judges: Judges, first: Tensor, second: Tensor) -> float | None:
    return None if judges.lpips is None else lpips(judges.lpips, first / 255, second / 255)


def _alike(first: Tensor, second: Tensor) -> dict[str, Any]:
    decibels = psnr_db(first, second)
    return {
        "ssim": ssim(first, second),
        "psnr_db": None if math.isinf(decibels) else decibels,
        "identical": math.isinf(decibels),
    }
