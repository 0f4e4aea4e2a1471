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


def test_where_settings_went_is_said() -> None:
    """Fault: "there is no such setting" for what every config said, or only the first of three at a time."""
    with pytest.raises(ValidationError, match=r"segmenter\.lr is now segmenter\.optimiser\.lr \[") as error:
        SegmenterConfig(lr=1e-3)
    assert len(error.value.errors()) == 1
    with pytest.raises(
        ValidationError,
        match=r"segmenter\.lr_schedule is now segmenter\.schedule\.kind; segmenter\.weight_decay is now "
        r"segmenter\.optimiser\.weight_decay, which decays as before with segmenter\.optimiser\.kind adamw",
    ):
        SegmenterConfig(**{"weight_decay": 1e-2, "lr_schedule": "poly"})


def test_the_form_of_the_settings_has_their_titles() -> None:
    """Fault: a field that the UI shows without words, or a choice that it cannot show."""
    schema = SegmenterConfig.model_json_schema()
    for name in ("loss", "optimiser", "schedule", "average", "early_stopping"):
        assert schema["properties"][name]["title"]
        assert schema["properties"][name]["description"]
    for name in ("optimiser", "schedule"):
        assert set(schema["properties"][name]) >= {"default", "discriminator", "anyOf"}


def test_settings_from_before_there_was_a_choice_are_stored_as_before() -> None:
    """Golden: an entry more, and every segmenter and label map that people have would be made again."""
    assert SegmenterConfig(encoder="resnet18").model_dump(mode="json") == {
        "encoder": "resnet18", "weights": "imagenet", "num_classes": 34, "epochs": 25, "batch": 32,
        "precision": "fp32", "seed": 0, "average": None, "early_stopping": None,
        "loss": [{
            "kind": "cross_entropy", "weight": 1.0, "class_weights": "none", "beta": 0.999999,
            "label_smoothing": 0.0,
        }],
        "optimiser": {
            "kind": "adam", "lr": 1e-4, "weight_decay": 0.0, "decay_norms_and_biases": False,
            "encoder_lr": 1.0, "layer_decay": 1.0, "frozen_encoder_epochs": 0, "clip_norm": None,
            "betas": [0.9, 0.999], "eps": 1e-8,
        },
        "schedule": {"kind": "constant", "warmup_steps": 0, "warmup_share": 0.0},
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
