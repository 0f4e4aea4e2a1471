"""One frame of the drawn city: everything painted far to near, then lit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from segspade_core.config import MinicityConfig
from segspade_core.datasets.minicity.buildings import paint_buildings
from segspade_core.datasets.minicity.camera import Camera
from segspade_core.datasets.minicity.canvas import Canvas
from segspade_core.datasets.minicity.ego import paint_ego
from segspade_core.datasets.minicity.furniture import (
    paint_barrier,
    paint_bridge,
    paint_lamp,
    paint_sign,
    paint_static,
    paint_traffic_light,
)
from segspade_core.datasets.minicity.ground import paint_ground
from segspade_core.datasets.minicity.light import photograph
from segspade_core.datasets.minicity.naming import FrameName, generator_for, sample_of, split_number
from segspade_core.datasets.minicity.nature import paint_hedge, paint_tree
from segspade_core.datasets.minicity.people import paint_person, paint_rider
from segspade_core.datasets.minicity.street import Street, Thing, lay_out
from segspade_core.datasets.minicity.style import STYLE_BY_NAME
from segspade_core.datasets.minicity.vehicles import paint_vehicle
from segspade_core.datasets.sample import Sample


@dataclass(frozen=True, eq=False)
class MinicityFrame:
    """A drawn photograph, its exact maps, and the outlines of its objects."""

    name: FrameName
    sample: Sample
    polygons: dict[str, Any]  # as in a Cityscapes polygons file


def draw_frame(config: MinicityConfig, split: str, index: int) -> MinicityFrame:
    """Draw frame `index` of `split`; it depends on seed, size, split and index alone.

    Raises:
        InputError: there is no such split.
    """
    name = sample_of(config, split, index)
    rng = generator_for(config.seed, split_number(split), index, 3)
    street = lay_out(rng, STYLE_BY_NAME[name.city], name.time_of_day)
    height, width = config.size
    turn, tilt = float(rng.uniform(-0.12, 0.12)), float(rng.uniform(-0.025, 0.025))
    canvas = Canvas(Camera.for_size(height, width, turn, tilt), lamps_lit=name.time_of_day != "day")

    paint_ground(canvas, street, rng)
    paint_buildings(canvas, street, rng)
    for side in street.sides:
        paint_barrier(canvas, street, side)
    bridge_z = street.bridge_z
    for thing in street.things:
        if bridge_z is not None and thing.z < bridge_z:
            paint_bridge(canvas, bridge_z)
            bridge_z = None
        _PAINTERS[thing.kind.split()[0]](canvas, street, thing, rng)
    paint_ego(canvas, rng)

    table, surfaces = canvas.table(), canvas.surfaces()
    sample = Sample(
        image=photograph(canvas, street, rng),
        label_ids=table[:, 0].astype(np.uint8)[surfaces],
        instance_ids=table[:, 1].astype(np.uint16)[surfaces],
    )
    return MinicityFrame(name, sample, canvas.polygons())


Painter = Callable[[Canvas, Street, Thing, np.random.Generator], None]


def _vehicle(canvas: Canvas, street: Street, thing: Thing, rng: np.random.Generator) -> None:
    colour = street.style.tram if thing.kind == "train" else None
    paint_vehicle(canvas, thing.kind, thing.x, thing.z, thing.facing, rng, colour)


def _person(canvas: Canvas, street: Street, thing: Thing, rng: np.random.Generator) -> None:
    paint_person(canvas, thing.x, thing.z, rng)


def _rider(canvas: Canvas, street: Street, thing: Thing, rng: np.random.Generator) -> None:
    paint_rider(canvas, thing.kind.removeprefix("rider "), thing.x, thing.z, thing.facing, rng)


def _tree(canvas: Canvas, street: Street, thing: Thing, rng: np.random.Generator) -> None:
    paint_tree(canvas, street.style, thing.x, thing.z, rng, _light(street, thing))


def _hedge(canvas: Canvas, street: Street, thing: Thing, rng: np.random.Generator) -> None:
    paint_hedge(canvas, street.style, thing.x, thing.z, rng, _light(street, thing))


def _lamp(canvas: Canvas, street: Street, thing: Thing, rng: np.random.Generator) -> None:
    paint_lamp(canvas, thing.x, thing.z)


def _sign(canvas: Canvas, street: Street, thing: Thing, rng: np.random.Generator) -> None:
    paint_sign(canvas, thing.x, thing.z, rng)


def _traffic_light(canvas: Canvas, street: Street, thing: Thing, rng: np.random.Generator) -> None:
    paint_traffic_light(canvas, thing.x, thing.z, rng)


def _static(canvas: Canvas, street: Street, thing: Thing, rng: np.random.Generator) -> None:
    paint_static(canvas, thing.kind, thing.x, thing.z, rng)


def _light(street: Street, thing: Thing) -> float:
    return street.facade_light(1 if thing.x > 0 else -1)


_PAINTERS: dict[str, Painter] = {
    **dict.fromkeys(
        ("car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle"), _vehicle
    ),
    **dict.fromkeys(("cabinet", "bin", "bollards", "cart"), _static),
    "person": _person,
    "rider": _rider,
    "tree": _tree,
    "hedge": _hedge,
    "lamp": _lamp,
    "sign": _sign,
    "traffic": _traffic_light,
}
