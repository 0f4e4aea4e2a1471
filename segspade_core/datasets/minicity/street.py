"""What stands where: a street in metres, with everything in it, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from segspade_core.datasets.minicity.naming import TimeOfDay
from segspade_core.datasets.minicity.style import Style

FAR_M = 130.0  # nothing stands further away


@dataclass(frozen=True)
class Side:
    """One side of the street; distances are from the camera, all positive."""

    sign: int  # -1 left, 1 right
    kerb_m: float  # edge of the carriageway
    parking_m: float  # width of the parking strip inside the kerb; 0: none
    pavement_m: float  # width of the pavement outside the kerb
    kind: str  # buildings, park or open
    barrier: str  # what runs along the far edge of the pavement: "", fence, wall or guard rail

    @property
    def front_m(self) -> float:
        """Where the pavement ends and buildings stand."""
        return self.kerb_m + self.pavement_m

    def x(self, distance_m: float) -> float:
        """Signed position of something `distance_m` to this side."""
        return self.sign * distance_m


@dataclass(frozen=True)
class Thing:
    """One object on the street; `facing` is away, towards or across where that makes a difference."""

    kind: str
    x: float
    z: float
    facing: str = ""


@dataclass(frozen=True)
class Street:
    """A whole scene."""

    style: Style
    time_of_day: TimeOfDay
    sun: int  # the side the sun stands on: that side lies in shade
    is_clear: bool  # sun and hard shadows, not an overcast sky
    left: Side
    right: Side
    tram_x: float | None  # middle of the tracks
    crossing: tuple[float, float] | None  # from, to: a street that crosses ours
    bridge_z: float | None
    things: list[Thing] = field(default_factory=list)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Left, right."""
        return self.left, self.right

    def is_crossing(self, z: float, margin_m: float = 0.0) -> bool:
        """Whether a point ahead lies in the crossing street."""
        return self.crossing is not None and self.crossing[0] - margin_m < z < self.crossing[1] + margin_m

    def facade_light(self, sign: int) -> float:
        """How much light the fronts on one side catch."""
        if not self.is_clear:
            return 0.88
        return 0.66 if sign == self.sun else 1.06


def lay_out(rng: np.random.Generator, style: Style, time_of_day: TimeOfDay) -> Street:
    """Invent a street of a city."""
    has_tram = rng.random() < 0.3
    left = _side(rng, -1, 5.4 + (3.2 if has_tram else 0.0))
    right = _side(rng, 1, 2.0)
    crossing = None
    if rng.random() < 0.6:
        start = float(rng.uniform(16, 48))
        crossing = (start, start + float(rng.uniform(7, 11)))
    street = Street(
        style=style,
        time_of_day=time_of_day,
        sun=int(rng.choice((-1, 1))),
        is_clear=time_of_day == "day" and rng.random() < 0.6,
        left=left,
        right=right,
        tram_x=-6.9 if has_tram else None,
        crossing=crossing,
        bridge_z=float(rng.uniform(30, 80)) if rng.random() < 0.12 else None,
    )
    _furnish(street, rng)
    _populate(street, rng)
    street.things.sort(key=lambda thing: -thing.z)
    return street


def _side(rng: np.random.Generator, sign: int, kerb_m: float) -> Side:
    parking_m = 2.2 if rng.random() < 0.5 else 0.0
    kind = str(rng.choice(["buildings", "park", "open"], p=[0.68, 0.24, 0.08]))
    barriers = {
        "buildings": (["", "fence", "wall"], [0.78, 0.12, 0.1]),
        "park": (["", "fence", "wall", "guard rail"], [0.35, 0.3, 0.2, 0.15]),
        "open": (["guard rail", "wall", "fence"], [0.5, 0.25, 0.25]),
    }
    names, shares = barriers[kind]
    return Side(
        sign,
        kerb_m + parking_m,
        parking_m,
        float(rng.uniform(2.4, 4.5)),
        kind,
        str(rng.choice(names, p=shares)),
    )


def _furnish(street: Street, rng: np.random.Generator) -> None:
    """Lamps, trees, signs, lights and what else does not move."""
    things = street.things
    lamp_step = float(rng.uniform(16, 24))
    lamp_side = street.right if rng.random() < 0.5 else street.left
    for z in np.arange(float(rng.uniform(5, 14)), FAR_M, lamp_step):
        things.append(Thing("lamp", lamp_side.x(lamp_side.kerb_m + 0.5), float(z)))
    for side in street.sides:
        step = float(rng.uniform(7, 13))
        if side.kind != "buildings" or rng.random() < 0.45:
            for z in np.arange(float(rng.uniform(4, 12)), 100, step):
                if rng.random() < 0.75 and not street.is_crossing(z, 2):
                    inside = side.kind == "buildings"
                    away = side.kerb_m + 0.9 if inside else side.front_m + float(rng.uniform(1, 4))
                    things.append(Thing("tree", side.x(away), float(z + rng.uniform(-1, 1))))
        if side.kind == "park":
            for _ in range(int(rng.integers(4, 10))):
                away = side.front_m + float(rng.uniform(5, 30))
                things.append(Thing("tree", side.x(away), float(rng.uniform(14, 110))))
        for _ in range(int(rng.integers(0, 3))):
            z = float(rng.uniform(6, 60))
            if not street.is_crossing(z, 1):
                things.append(Thing("sign", side.x(side.kerb_m + 0.4), z))
        for kind, chance in (
            ("cabinet", 0.35),
            ("bin", 0.4),
            ("bollards", 0.25),
            ("hedge", 0.25),
            ("cart", 0.18),
        ):
            if rng.random() < chance:
                z = float(rng.uniform(6, 45))
                if not street.is_crossing(z, 3):
                    away = side.front_m - 0.5 if kind in ("cabinet", "hedge") else side.kerb_m + 0.8
                    things.append(Thing(kind, side.x(away), z))
    if street.crossing is not None and rng.random() < 0.75:
        for side in street.sides:
            z = street.crossing[0] - 1.5
            things.append(Thing("traffic light", side.x(side.kerb_m + 0.5), z))


def _populate(street: Street, rng: np.random.Generator) -> None:
    """Vehicles in their lanes and at the kerb, people on the pavements."""
    _fill_lane(street, rng, 0.0, "away", float(rng.uniform(7, 30)))
    _fill_lane(street, rng, -3.5, "towards", float(rng.uniform(5, 25)))
    if street.tram_x is not None and rng.random() < 0.6:
        facing = "away" if rng.random() < 0.4 else "towards"
        street.things.append(Thing("train", street.tram_x, float(rng.uniform(8, 50)), facing))
    for side in street.sides:
        if side.parking_m and rng.random() < 0.85:
            z = float(rng.uniform(2.5, 9))
            while z < 75:
                if rng.random() < 0.68 and not street.is_crossing(z + 2, 4):
                    kind = str(rng.choice(["car", "truck", "caravan", "trailer", "motorcycle"],
                                          p=[0.76, 0.07, 0.06, 0.06, 0.05]))  # fmt: skip
                    x = side.x(side.kerb_m - side.parking_m / 2)
                    street.things.append(Thing(kind, x, z, "away" if side.sign > 0 else "towards"))
                z += float(rng.uniform(5.6, 8.5))
        for _ in range(int(rng.integers(0, 8))):
            away = side.kerb_m + float(rng.uniform(0.5, max(0.8, side.pavement_m - 0.4)))
            z = float(rng.uniform(4.5, 50))
            street.things.append(Thing("person", side.x(away), z))
            if rng.random() < 0.35:
                street.things.append(Thing("person", side.x(away + 0.6), z + float(rng.uniform(-0.4, 0.6))))
        for _ in range(int(rng.integers(0, 3))):
            z = float(rng.uniform(5, 30))
            if not street.is_crossing(z, 2):
                street.things.append(Thing("bicycle", side.x(side.front_m - 0.7), z, "across"))
    for _ in range(int(rng.integers(0, 3))):
        facing = "away" if rng.random() < 0.6 else "towards"
        x = 1.5 if facing == "away" else -5.0
        kind = "bicycle" if rng.random() < 0.62 else "motorcycle"
        street.things.append(Thing(f"rider {kind}", x, float(rng.uniform(5, 35)), facing))
    if street.crossing is not None:
        middle = sum(street.crossing) / 2
        for _ in range(int(rng.integers(0, 4))):
            x = float(rng.uniform(-street.left.kerb_m, street.right.kerb_m))
            street.things.append(Thing("person", x, street.crossing[0] - float(rng.uniform(2.5, 4.5))))
        if rng.random() < 0.3:
            street.things.append(Thing("rider bicycle", float(rng.uniform(-6, 4)), middle, "across"))
        elif rng.random() < 0.4:
            kind = str(rng.choice(["car", "bus", "truck"], p=[0.6, 0.2, 0.2]))
            street.things.append(
                Thing(kind, float(rng.choice((-1, 1)) * rng.uniform(4, 16)), middle, "across")
            )


def _fill_lane(street: Street, rng: np.random.Generator, x: float, facing: str, z: float) -> None:
    while z < 90:
        if rng.random() < 0.6:
            kind = str(rng.choice(["car", "truck", "bus", "caravan", "motorcycle"],
                                  p=[0.68, 0.12, 0.12, 0.03, 0.05]))  # fmt: skip
            if kind == "motorcycle":
                kind = "rider motorcycle"
            if kind == "caravan":
                # a caravan is drawn by a car, and trails behind it
                street.things.append(Thing("car", x, z + (6.5 if facing == "away" else -6.0), facing))
            street.things.append(Thing(kind, x + float(rng.uniform(-0.3, 0.3)), z, facing))
            z += 6
        z += float(rng.uniform(8, 22))
