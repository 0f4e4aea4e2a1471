"""The controls of the studio's page → what is asked of the painting; all of it comes from a browser."""

from __future__ import annotations

from typing import Any

from segspade_core.config import PictureConfig
from segspade_core.errors import InputError
from tasks.studio.scene import Scene

SIZES = ("as trained", "128x256", "192x384", "256x512", "512x1024")
MEAN, DRAWN, OWN, OTHER = "mean", "drawn by number", "of this photograph", "of another photograph"
ANY = "any"
MAX_STREET, MAX_STYLE = 2**31, 10**9 - 1


def missing(scene: Scene, style: str, number: Any, other: Any) -> str:
    """What the style still lacks, as words for the status; empty where it can be painted."""
    if style == OTHER and other is None:
        return "open a photograph for the style"
    if style == OWN and scene.photograph is None:
        return "this scene came without a photograph, so it has no style of its own"
    return "give the number of the style" if style == DRAWN and number is None else ""


def asked_of(
    scene: Scene, city: str, time_of_day: str, style: str, number: Any, other: Any
) -> tuple[PictureConfig, Any]:
    """What is asked of the painting, and the photograph whose style it is to have.

    A style that lacks something (`missing`) is the mean until it is there.

    Raises:
        InputError: the number of the style is none.
    """
    if missing(scene, style, number, other):
        style = MEAN
    image = {OWN: scene.photograph, OTHER: other}.get(style)
    named = {OWN: "image:own", OTHER: "image:other"}.get(style, "mean")
    if style == DRAWN:
        named = f"sample:{whole(number, 'style number', MAX_STYLE)}"
    chosen = {"city": city, "time_of_day": time_of_day}
    conditions = {name: None if value == ANY else value for name, value in chosen.items()}
    return PictureConfig(style=named, **conditions), image


def whole(number: Any, what: str, most: int) -> int:
    """The whole number 0..`most` that was typed.

    Raises:
        InputError: it is none; nothing is rounded, nor is nothing taken for zero.
    """
    if not isinstance(number, (int, float)) or not 0 <= number <= most or number != int(number):
        given = "nothing" if number is None else f"'{number}'"
        raise InputError(f"{what}: {given} was given; give a whole number from 0 to {most}")
    return int(number)


def size_of(text: str) -> tuple[int, int] | None:
    """(height, width) of HEIGHTxWIDTH; None of 'as trained'.

    Raises:
        InputError: it is neither.
    """
    if text == SIZES[0]:
        return None
    try:
        return PictureConfig.model_validate({"size": text}).size
    except ValueError as error:
        raise InputError(f"'{text}' is no size; give HEIGHTxWIDTH, such as 256x512") from error
