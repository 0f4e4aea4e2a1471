"""Light, texture, air and sensor: from painted surfaces to a photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from segspade_core.datasets.minicity.canvas import ALONG, GROUND, SKY, Canvas
from segspade_core.datasets.minicity.naming import TimeOfDay
from segspade_core.datasets.minicity.street import Street
from segspade_core.datasets.minicity.texture import SIDE, TEXELS_PER_M, clouds, sensor, tiles

F32 = npt.NDArray[np.float32]
_MOST_LAMPS = 8
_WARM = np.array([1.0, 0.78, 0.46], np.float32)
_HEADLAMP = np.array([0.95, 0.95, 0.88], np.float32)


@dataclass(frozen=True)
class Air:
    """The light of a time of day; colours are (red, green, blue) in [0, 1]."""

    ambient: tuple[float, float, float]
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    cloud: tuple[float, float, float]
    cloudiness: float
    sight_m: float  # distance at which 63 % of a colour is lost to the air
    lamps: float
    noise: float  # standard deviation of the sensor's noise


_CLEAR = Air(
    (1.08, 1.04, 0.98), (0.27, 0.47, 0.80), (0.74, 0.84, 0.93), (0.97, 0.97, 0.98), 0.7, 420, 0.0, 0.010
)
_OVERCAST = Air(
    (0.88, 0.91, 0.95), (0.66, 0.70, 0.75), (0.85, 0.87, 0.88), (0.90, 0.91, 0.93), 0.8, 240, 0.0, 0.013
)
_DUSK = Air(
    (0.56, 0.46, 0.50), (0.24, 0.26, 0.46), (0.93, 0.58, 0.40), (0.80, 0.48, 0.46), 0.6, 300, 0.35, 0.020
)
_NIGHT = Air(
    (0.15, 0.17, 0.24), (0.020, 0.026, 0.060), (0.13, 0.11, 0.12), (0.08, 0.08, 0.11), 0.5, 260, 0.85, 0.028
)


def air_of(time_of_day: TimeOfDay, is_clear: bool) -> Air:
    """The light of a scene."""
    if time_of_day == "day":
        return _CLEAR if is_clear else _OVERCAST
    return _DUSK if time_of_day == "dusk" else _NIGHT


@dataclass(frozen=True)
class Geometry:
    """Where every pixel's surface is, in metres; all (H, W) float32."""

    lies: npt.NDArray[np.uint8]
    x: F32
    y: F32
    z: F32
    material: npt.NDArray[np.int32]
    shade: F32


def photograph(canvas: Canvas, street: Street, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Light the drawing and take its picture: (H, W, 3) uint8."""
    air = air_of(street.time_of_day, street.is_clear)
    place = _geometry(canvas)
    colour = _halved(canvas.colour_image).astype(np.float32) / np.float32(255)
    glow = _halved(canvas.glow_image).astype(np.float32)[..., None] / np.float32(255)
    # a lit window shows no bricks
    colour *= 1 + (_texture(place)[..., None] - 1) * (1 - glow)
    picture = colour * _light(canvas, street, air, place)
    picture += (colour * np.float32(1.25) - picture) * glow
    picture = _through_air(picture, place, air)
    picture[place.lies == SKY] = _sky(canvas, air, rng)[place.lies == SKY]
    if air.lamps:
        picture += _bloom(canvas) * np.float32(air.lamps)
    return _sensed(picture, air, rng)


def _halved(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(image.reduce(2))


def _geometry(canvas: Canvas) -> Geometry:
    camera, surfaces, table = canvas.camera, canvas.surfaces(), canvas.table()
    lies = table[:, 2].astype(np.uint8)[surfaces]
    at = table[:, 3].astype(np.float32)[surfaces]
    across = np.arange(camera.width_px, dtype=np.float32)[None] + np.float32(0.5 - camera.centre_u)
    down = np.arange(camera.height_px, dtype=np.float32)[:, None] + np.float32(0.5 - camera.horizon_v)
    focal = np.float32(camera.focal_px)
    # an ALONG surface lies on the side that its sign says, so the quotient is positive but for rounding
    beside = at * focal / np.where(np.abs(across) < 0.5, np.float32(0.5), across)
    z = np.where(lies == GROUND, camera.ground_depth(), np.where(lies == ALONG, beside, at))
    z = np.clip(z, np.float32(0.5), np.float32(1e4))
    scale = (z / focal).astype(np.float32, copy=False)
    x: F32 = across * scale
    y: F32 = np.float32(camera.height_m) - down * scale
    material = table[:, 4].astype(np.int32)[surfaces]
    return Geometry(lies, x, y, z, material, table[:, 5].astype(np.float32)[surfaces])


def _texture(place: Geometry) -> F32:
    """Brightness of the material at each pixel; it fades where a pixel covers many texels."""
    ground, along = place.lies == GROUND, place.lies == ALONG
    horizontal = np.where(along, place.z, place.x)
    vertical = np.where(ground, place.z, place.y)
    column = np.floor(horizontal * TEXELS_PER_M).astype(np.int32) & (SIDE - 1)
    row = np.floor(vertical * TEXELS_PER_M).astype(np.int32) & (SIDE - 1)
    texels = tiles().reshape(-1)[(place.material * SIDE + row) * SIDE + column]
    fade = 1 / (1 + place.z * np.float32(0.035))
    return 1 + (texels - 1) * fade


def _light(canvas: Canvas, street: Street, air: Air, place: Geometry) -> F32:
    """(H, W, 3) what falls on every pixel: sky and sun, street lamps, our own head lamps."""
    shadow = np.asarray(canvas.shadow_image, np.float32) / np.float32(255)
    shade = np.where(place.lies == GROUND, place.shade * shadow, place.shade)
    light: F32 = shade[..., None] * np.array(air.ambient, np.float32)
    if not air.lamps:
        return light
    warm = np.zeros(place.z.shape, np.float32)
    for x, y, z in sorted(canvas.lamps, key=lambda lamp: lamp[2])[:_MOST_LAMPS]:
        # a lamp shines down: the spot below it counts more than the distance to it
        flat = (place.x - np.float32(x)) ** 2 + (place.z - np.float32(z)) ** 2
        warm += 1 / (1 + (flat + np.float32(0.3) * (place.y - np.float32(y)) ** 2) / np.float32(14))
    light += (warm * np.float32(air.lamps * 0.9))[..., None] * _WARM
    beam = 1.4 + 0.16 * place.z
    cone = np.exp(-((place.x - np.float32(0.4)) ** 2) / (2 * beam * beam)) / (1 + (place.z / 15) ** 2)
    cone *= np.clip((place.z - 2) / 4, 0, 1) * np.clip((2.6 - place.y) / 1.8, 0.08, 1)
    light += (cone * np.float32(air.lamps))[..., None] * _HEADLAMP
    return light


def _through_air(picture: F32, place: Geometry, air: Air) -> F32:
    kept = np.exp(-place.z / np.float32(air.sight_m))[..., None]
    return picture * kept + np.array(air.horizon, np.float32) * np.float32(0.92) * (1 - kept)


def _sky(canvas: Canvas, air: Air, rng: np.random.Generator) -> F32:
    """(H, W, 3) gradient and clouds, drawn for the whole picture: cheaper than picking the sky's pixels."""
    camera = canvas.camera
    v = np.arange(camera.height_px, dtype=np.float32)[:, None]
    u = np.arange(camera.width_px, dtype=np.float32)[None]
    rise = np.clip((np.float32(camera.horizon_v) - v) / np.float32(camera.horizon_v), 0, 1)
    up = (rise**0.7)[..., None]
    sky = np.array(air.horizon, np.float32) * (1 - up) + np.array(air.zenith, np.float32) * up
    depth = 60 / (rise + np.float32(0.12))
    offset = rng.integers(0, SIDE, 2)
    column = ((u - np.float32(camera.centre_u)) * depth / np.float32(camera.focal_px) + offset[0]).astype(
        np.int32
    )
    row = np.broadcast_to((depth + offset[1]).astype(np.int32), column.shape)
    cover = clouds()[row & (SIDE - 1), column & (SIDE - 1)][..., None]
    cover = cover * np.float32(air.cloudiness * rng.uniform(0.4, 1.0))
    return sky * (1 - cover) + np.array(air.cloud, np.float32) * cover


def _bloom(canvas: Canvas) -> F32:
    """Light that spills around what glows."""
    small = canvas.glow_image.reduce(8)
    tint = canvas.colour_image.reduce(8)
    spread = Image.composite(tint, Image.new("RGB", tint.size), small).filter(ImageFilter.GaussianBlur(2))
    size = (canvas.camera.width_px, canvas.camera.height_px)
    return np.asarray(spread.resize(size, Image.Resampling.BILINEAR), np.float32) / np.float32(300)


def _sensed(picture: F32, air: Air, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Exposure, white balance, lens and noise of the camera."""
    height, width = picture.shape[:2]
    gain: Any = np.float32(rng.uniform(0.88, 1.12)) * rng.uniform(0.96, 1.04, 3).astype(np.float32)
    v = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    u = np.linspace(-1, 1, width, dtype=np.float32)[None]
    picture = picture * gain * (1 - np.float32(0.16) * (u * u + v * v))[..., None]
    # a soft shoulder: bright things saturate gently, as film and sensors have it
    picture = np.where(picture > 0.8, 0.8 + 0.2 * np.tanh((picture - np.float32(0.8)) * 5), picture)
    noise = sensor()
    start = int(rng.integers(0, max(1, len(noise) - picture.size)))
    grain = np.resize(noise[start : start + picture.size], picture.size).reshape(picture.shape)
    picture = picture + grain * (np.float32(air.noise) * (np.float32(0.6) + picture * np.float32(0.5)))
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
