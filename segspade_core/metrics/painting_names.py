"""What the scores of painted images are called, and where the networks behind some of them come from.

Free of torch: the command line, the run's page and the report read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Painting = Literal["painted_true", "painted_predicted"]
PAINTINGS: dict[Painting, str] = {
    "painted_true": "images painted from true maps, against the photographs of the same frames",
    "painted_predicted": "images painted from predicted maps, against the photographs of the same frames",
}

ScoreName = Literal[
    "fid",
    "kid",
    "segmenter_frechet",
    "segmenter_kernel",
    "ssim",
    "psnr_db",
    "lpips",
    "segmenter_difference",
]


@dataclass(frozen=True)
class About:
    """A score as a reader meets it; `better` says which way, `compares` whether it takes image by image."""

    label: str
    short: str
    better: Literal["lower", "higher"]
    compares: Literal["sets", "pairs"]
    digits: int
    meaning: str


ABOUT: dict[ScoreName, About] = {
    "fid": About(
        "FID",
        "FID",
        "lower",
        "sets",
        1,
        "distance between all photographs and all painted images, as Inception sees them",
    ),
    "kid": About(
        "KID", "KID", "lower", "sets", 4, "the same question as FID, without its bias at small counts"
    ),
    "segmenter_frechet": About(
        "Fréchet distance of segmenter features (not FID)",
        "Fréchet by segmenter (not FID)",
        "lower",
        "sets",
        2,
        "FID's formula on what the run's own segmenter sees: comparable only where that is the same",
    ),
    "segmenter_kernel": About(
        "kernel distance of segmenter features (not KID)",
        "kernel by segmenter (not KID)",
        "lower",
        "sets",
        2,
        "KID's formula on the same features",
    ),
    "ssim": About("SSIM", "SSIM", "higher", "pairs", 3, "likeness of local structure, 1 for the same image"),
    "psnr_db": About("PSNR, dB", "PSNR, dB", "higher", "pairs", 1, "likeness pixel by pixel, in decibels"),
    "lpips": About(
        "LPIPS", "LPIPS", "lower", "pairs", 3, "difference as people judge it, 0 for the same image"
    ),
    "segmenter_difference": About(
        "difference of segmenter features (not LPIPS)",
        "difference by segmenter (not LPIPS)",
        "lower",
        "pairs",
        3,
        "LPIPS's idea on what this run's own segmenter sees, and not fitted to what people say",
    ),
}


@dataclass(frozen=True)
class Network:
    """A published network: whose it is, what sets it, the names its file goes by in torch hub's cache.

    The names end in the first eight digits of the file's sha256.
    """

    name: str
    setting: str
    url: str
    files: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """What to do where it is missing."""
        return (
            f"To mend that, name a file of them with score_quality.{self.setting}; or put {self.url} into "
            f"torch hub's cache (~/.cache/torch/hub/checkpoints), with score_quality.{self.setting} at 'auto'"
        )


INCEPTION = Network(
    "Inception",
    "inception",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    # the same file as pytorch-fid names it
    ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth"),
)
ALEXNET = Network(
    "AlexNet",
    "lpips",
    "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ("alexnet-owt-7be5be79.pth",),
)


NONE = "–"


def show(name: ScoreName, value: float | None) -> str:
    """The value as it is read; '–' where there is none."""
    if value is None:
        return NONE
    text = f"{value:.{ABOUT[name].digits}f}"
    # what is small is not nothing
    text = text if float(text) or not value else f"{value:.1g}"
    return text.replace("-", "−")
