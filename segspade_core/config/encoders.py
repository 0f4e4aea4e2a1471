"""The encoders that a segmenter can have, by name; known without waiting for torch.

Source of the names: segmentation-models-pytorch 0.6 (a test holds this table to the installed version).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# ours: EfficientNet-Lite0, whose ImageNet weights install from the index (the extra `offline-weights`)
EFFICIENTNET_LITE0 = "efficientnet-lite0"
# what comes before the name of one of timm's networks
TIMM = "tu-"

_FAMILIES: dict[str, tuple[str, ...]] = {
    "resnet": ("18", "34", "50", "101", "152"),
    "resnext": ("50_32x4d", "101_32x4d", "101_32x8d", "101_32x16d", "101_32x32d", "101_32x48d"),
    "dpn": ("68", "68b", "92", "98", "107", "131"),
    "vgg": ("11", "11_bn", "13", "13_bn", "16", "16_bn", "19", "19_bn"),
    "senet": ("154",),
    "se_resnet": ("50", "101", "152"),
    "se_resnext": ("50_32x4d", "101_32x4d"),
    "densenet": ("121", "161", "169", "201"),
    "inceptionresnet": ("v2",),
    "inception": ("v4",),
    "efficientnet-b": ("0", "1", "2", "3", "4", "5", "6", "7"),
    "mobilenet_v": ("2",),
    "xception": ("",),
    "timm-efficientnet-": ("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "l2"),
    "timm-tf_efficientnet_lite": ("0", "1", "2", "3", "4"),
    "timm-skresn": ("et18", "et34", "ext50_32x4d"),
    "mit_b": ("0", "1", "2", "3", "4", "5"),
    "mobileone_s": ("0", "1", "2", "3", "4"),
}
ENCODERS = (
    EFFICIENTNET_LITE0,
    *(family + member for family, members in _FAMILIES.items() for member in members),
)


def check_encoder(name: str) -> str:
    """The name, if there is such an encoder: one of ENCODERS, or 'tu-' before the name of one of timm's.

    Raises:
        ValueError: there is none; the message has the names most like it.
    """
    if name in ENCODERS:
        return name
    # from here on it takes as long as torch takes to import: only for timm's, and to find what was meant
    import timm

    if name.startswith(TIMM) and _timm_knows(name.removeprefix(TIMM)):
        return name
    near = _near(name, [*ENCODERS, *(TIMM + other for other in timm.list_models())])
    raise ValueError(
        f"there is no encoder '{name}'; {_meant(near)}. Names are those of segmentation-models-pytorch, "
        f"such as resnet34 or mit_b0, those of timm after '{TIMM}', and {EFFICIENTNET_LITE0}"
    )


def _timm_knows(name: str) -> bool:
    """Whether timm has the network, and where a tag comes after a dot, weights of that name."""
    from timm.models import is_model, list_pretrained

    network, dot, _ = name.partition(".")
    return is_model(name) and (not dot or name in list_pretrained(f"{network}*"))


def _near(name: str, known: Iterable[str]) -> list[str]:
    plain = {other.removeprefix(TIMM).replace("-", "_"): other for other in reversed(list(known))}
    wanted = name.removeprefix(TIMM).partition(".")[0].lower().replace("-", "_")
    return [plain[match] for match in difflib.get_close_matches(wanted, plain, n=3)]


def _meant(near: list[str]) -> str:
    return f"the nearest are {', '.join(near)}" if near else "nothing is called alike"
