"""Settings of segmenters and of how they look: names that exist, and keys that stay what they were."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from pydantic import ValidationError
from segmentation_models_pytorch.encoders import get_encoder_names

from segspade_core.config import LookConfig, SegmentConfig, SegmenterConfig, WindowsConfig
from segspade_core.config.encoders import EFFICIENTNET_LITE0, ENCODERS


def test_the_table_of_encoders_is_the_librarys() -> None:
    """Fault: a name that the library does not know any more, or one it learned that is refused."""
    assert sorted(ENCODERS) == sorted([EFFICIENTNET_LITE0, *get_encoder_names()])


@pytest.mark.parametrize("name", ["mit_b3", "efficientnet-lite0", "tu-convnext_tiny", "tu-resnet18.a1_in1k"])
def test_an_encoder_that_exists_is_taken(name: str) -> None:
    assert SegmenterConfig(encoder=name).encoder == name


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet35", "the nearest are resnet50, resnet34, "),
        ("convnext_tiny", "the nearest are tu-convnext_tiny, "),
        ("MIT-B1", "the nearest are mit_b1, "),
        ("tu-resnet18.nobodys_weights", "the nearest are resnet18, "),
        ("?", "nothing is called alike. Names are those of segmentation-models-pytorch, such as resnet34"),
    ],
)
def test_an_encoder_that_does_not_exist_is_refused_with_those_like_it(name: str, near: str) -> None:
    """Fault: an error of a library in the middle of a run, or one that leaves people to guess."""
    with pytest.raises(ValidationError, match=re.escape(f"there is no encoder '{name}'; {near}")):
        SegmenterConfig(encoder=name)


def test_settings_are_read_without_waiting_for_torch() -> None:
    """Fault: a run that makes nothing takes seconds longer."""
    code = (
        "import sys; from segspade_core.config import SegmenterConfig; SegmenterConfig(encoder='mit_b0');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_from_before_there_was_a_choice_are_stored_as_before() -> None:
    """Golden: an entry more, and every segmenter and label map that people have would be made again."""
    assert SegmenterConfig(encoder="resnet18").model_dump(mode="json") == {
        "encoder": "resnet18", "weights": "imagenet", "num_classes": 34, "epochs": 25, "batch": 32,
        "lr": 1e-4, "lr_schedule": "constant", "weight_decay": 0.0, "precision": "fp32", "seed": 0,
        "augment": {
            "flip": 0.5, "crop": None, "scale": [1.0, 1.0], "brightness": 0.0, "contrast": 0.0,
            "saturation": 0.0,
        },
    }  # fmt: skip
    assert SegmentConfig(split="val").model_dump(mode="json") == {"split": "val", "limit": None}


def test_what_is_chosen_is_stored_and_read_again() -> None:
    """Fault: two heads, or two ways of looking, under one key."""
    segmenter = SegmenterConfig(head="unet")
    assert segmenter.model_dump(mode="json")["head"] == "unet"
    look = SegmentConfig(split="val", windows=WindowsConfig(size="256x512"), flip=True, scales=(0.5, 1))
    stored = look.model_dump(mode="json")
    assert stored == {
        "split": "val", "limit": None, "flip": True, "scales": [0.5, 1.0],
        "windows": {"size": "256x512", "overlap": 0.25},
    }  # fmt: skip
    assert SegmentConfig(**stored) == look
    assert SegmenterConfig(**segmenter.model_dump(mode="json")) == segmenter


def test_windows_that_do_not_advance_and_looks_at_nothing_are_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"windows of 32x64 with an overlap of 0\.5 advance by less than"
    ):
        WindowsConfig(size="32x64", overlap=0.5)
    for wrong in ({"scales": ()}, {"scales": (0.0,)}, {"windows": {"size": "64x64", "overlap": 1}}):
        with pytest.raises(ValidationError):
            LookConfig(**wrong)
