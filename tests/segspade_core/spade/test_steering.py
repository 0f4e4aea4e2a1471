"""What is asked of a painting, and the code that it becomes."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from segspade_core.config import GeneratorArchitecture, PaintConfig
from segspade_core.errors import InputError
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.steering import check_steering, painting_codes
from segspade_core.spade.style import StyleEncoder, draw_style

STEERED = GeneratorArchitecture(
    num_labels=4, width=2, max_channels=4, hidden=2, upsamplings=2, style_dim=3, style_width=1,
    cities=("bonn", "jena", "ulm"), times_of_day=("day", "night"), condition_dim=2,
)  # fmt: skip
OWN = {"city": ["ulm", None, "oslo"], "time_of_day": ["night", "day", "dusk"]}


@pytest.fixture(scope="module")
def models() -> tuple[SpadeGenerator, StyleEncoder]:
    torch.manual_seed(0)
    return SpadeGenerator(STEERED).eval(), StyleEncoder(STEERED).eval()


@pytest.mark.parametrize(
    ("architecture", "asked", "message"),
    [
        (
            GeneratorArchitecture(),
            {"style": "sample:3"},
            "style 'sample:3': this generator knows no styles; leave it at 'mean', or train one with "
            "`generator.style_dim`, such as 64",
        ),
        (
            STEERED,
            {"city": "oslo"},
            "city 'oslo': this generator was trained on bonn, jena, ulm; take one of them",
        ),
        (
            STEERED,
            {"time_of_day": "Night"},
            "time_of_day 'Night': this generator was trained on day, night; take one of them",
        ),
        (
            GeneratorArchitecture(style_dim=2),
            {"time_of_day": "night"},
            "time_of_day 'night': this generator knows no time_of_day; train one with "
            "`conditions: [time_of_day]`",
        ),
    ],
)
def test_what_a_generator_cannot_do_is_said(
    architecture: GeneratorArchitecture, asked: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_steering(architecture, PaintConfig(**asked))


def test_what_it_can_do_passes() -> None:
    """Fault: 'mean' refused where there is no style, or a known name."""
    asked = PaintConfig(style="image:a", city="ulm", time_of_day="night")
    for architecture, config in ((GeneratorArchitecture(), PaintConfig()), (STEERED, asked)):
        check_steering(architecture, config)
        with pytest.raises(InputError):  # and it is this config that was looked at
            check_steering(architecture, config.model_copy(update={"city": "nowhere"}))


@pytest.mark.parametrize("style", ["sample", "sample:-1", "sample:1234567890", "image:", "median", ""])
def test_a_style_is_one_of_three_kinds(style: str) -> None:
    with pytest.raises(ValueError, match="style"):
        PaintConfig(style=style)


def test_each_map_has_its_own_conditions_unless_others_are_asked_for(models: tuple) -> None:
    """Fault: unknown names counted as the last; what is asked for given to the first alone."""
    generator, encoder = models
    city, time = generator.code_book.city.weight, generator.code_book.time_of_day.weight
    code = painting_codes(generator, encoder, PaintConfig(), OWN, 3)
    assert torch.equal(code[:, :3], torch.zeros(3, 3))
    torch.testing.assert_close(code[:, 3:5], torch.stack([city[2], city.mean(0), city.mean(0)]))
    torch.testing.assert_close(code[:, 5:], torch.stack([time[1], time[0], time.mean(0)]))
    asked = painting_codes(generator, encoder, PaintConfig(city="jena"), OWN, 3)
    torch.testing.assert_close(asked[:, 3:5], city[[1, 1, 1]])
    assert torch.equal(asked[:, 5:], code[:, 5:])
    nobody = painting_codes(generator, encoder, PaintConfig(time_of_day="day"), {}, 3)
    torch.testing.assert_close(nobody[:, 3:], torch.cat([city.mean(0), time[0]]).expand(3, 4))


def test_a_sampled_style_is_one_for_all_and_comes_again(models: tuple) -> None:
    """Fault: another style for every map, or for every call."""
    torch.manual_seed(1)
    codes = [painting_codes(*models, PaintConfig(style=f"sample:{seed}"), OWN, 3) for seed in (5, 5, 6)]
    assert torch.equal(codes[0], codes[1])
    assert torch.equal(codes[0][:, :3], draw_style(5, 3)[0].expand(3, 3))
    assert not torch.equal(codes[0][:, :3], codes[2][:, :3])
    assert torch.equal(codes[0][:, 3:], codes[2][:, 3:])
    assert codes[0].device.type == "cpu"


def test_the_style_of_a_photograph_is_its_mean_code(models: tuple) -> None:
    """Fault: pixels in another range, channels last, a draw in place of the mean."""
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    code = painting_codes(*models, PaintConfig(style="image:a"), OWN, 3, image)
    with torch.no_grad():
        mu, _ = models[1](torch.from_numpy(image / 127.5 - 1).float().permute(2, 0, 1)[None])
    torch.testing.assert_close(code[:, :3], mu.expand(3, 3))
    assert mu.abs().max() > 1e-3
    with pytest.raises(
        InputError,
        match=r"^style 'image:a': the generator came without the encoder that reads styles$",
    ):
        painting_codes(models[0], None, PaintConfig(style="image:a"), OWN, 3, image)


def test_a_generator_without_code_needs_none() -> None:
    plain = SpadeGenerator(GeneratorArchitecture(num_labels=4, width=1, hidden=1, upsamplings=1))
    assert painting_codes(plain, None, PaintConfig(), OWN, 3) is None
    with pytest.raises(InputError, match="this generator knows no city"):
        painting_codes(plain, None, PaintConfig(city="ulm"), OWN, 3)
