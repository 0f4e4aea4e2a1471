"""What is asked of a painting (style, city, time of day) → the codes that the generator paints by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from segspade_core.config import GeneratorArchitecture, PaintConfig
from segspade_core.errors import InputError
from segspade_core.spade.code import code_dim
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.style import StyleEncoder, draw_style


def check_steering(architecture: GeneratorArchitecture, config: PaintConfig) -> None:
    """Raise InputError unless a generator can paint as `config` asks."""
    if config.style != "mean" and not architecture.style_dim:
        raise InputError(
            f"style '{config.style}': this generator knows no styles; leave it at 'mean', or train one with "
            "`generator.style_dim`, such as 64"
        )
    asked = (
        ("city", config.city, architecture.cities),
        ("time_of_day", config.time_of_day, architecture.times_of_day),
    )
    for condition, name, known in asked:
        if name is not None and name not in known:
            raise InputError(
                f"{condition} '{name}': "
                + (
                    f"this generator was trained on {', '.join(known)}; take one of them"
                    if known
                    else f"this generator knows no {condition}; train one with `conditions: [{condition}]`"
                )
            )


@torch.inference_mode()
def painting_codes(
    generator: SpadeGenerator,
    style_encoder: StyleEncoder | None,
    config: PaintConfig,
    own: Mapping[str, Sequence[str | None]],
    count: int,
    style_image: np.ndarray | None = None,
) -> Tensor | None:
    """The codes to paint `count` maps by.

    Args:
        generator, style_encoder: of one artifact.
        config: what is asked. A city or time of day left open is each map's own, where the generator knows
            that, and the mean of all that it knows where not.
        own: 'city' and 'time_of_day' → `count` names, as far as the dataset has them.
        style_image: (H, W, 3) uint8, for the style 'image:…'.

    Returns:
        (count, Z) float32 on the CPU; None for a generator without code.

    Raises:
        InputError: the generator cannot paint so.
    """
    architecture = generator.architecture
    check_steering(architecture, config)
    if not code_dim(architecture):
        return None
    style = _style(architecture, style_encoder, config.style, style_image)
    known = {"city": architecture.cities, "time_of_day": architecture.times_of_day}
    asked = {"city": config.city, "time_of_day": config.time_of_day}
    indices: dict[str, Tensor] = {}
    for condition, names in known.items():
        wanted = [asked[condition]] * count if asked[condition] else list(own.get(condition, [None] * count))
        indices[condition] = torch.tensor([names.index(name) if name in names else -1 for name in wanted])
    book = generator.code_book
    return book(None if style is None else style.expand(count, -1), indices, count).cpu()


def _style(
    architecture: GeneratorArchitecture, encoder: StyleEncoder | None, asked: str, image: np.ndarray | None
) -> Tensor | None:
    """(1, style_dim), or None for the mean."""
    kind, _, detail = asked.partition(":")
    if kind == "sample":
        # one for the whole split: a style that one likes can be asked for again by its number
        return draw_style(int(detail), architecture.style_dim)[0][None]
    if kind == "image":
        if encoder is None or image is None:
            raise InputError(f"style '{asked}': the generator came without the encoder that reads styles")
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        mu, _ = encoder(pixels.to(next(encoder.parameters()).device))
        return mu.cpu()
    return None
