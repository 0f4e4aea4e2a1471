"""The cities: what makes a street of one city recognisable. Colours are (red, green, blue), 0..255."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Style:
    """How one city builds, plants and paves."""

    name: str
    facades: tuple[Colour, ...]
    facade_material: str
    roof: str  # flat, pitched or steep
    roof_colour: Colour
    floors: tuple[int, int]  # fewest and most
    floor_m: float
    window: tuple[float, float]  # width, height in metres
    window_step_m: float
    frame: Colour
    shutters: Colour | None
    road: Colour
    pavement: Colour
    pavement_material: str
    terrain: Colour
    tree: str  # round, cone or tall
    leaves: tuple[Colour, ...]
    fence: Colour
    wall: Colour
    tram: Colour


STYLES: tuple[Style, ...] = (
    Style(
        name="maravel",  # southern: plaster in warm colours, tiled roofs, shutters, cypresses
        facades=((226, 178, 112), (214, 146, 100), (236, 208, 160), (205, 122, 96), (232, 190, 150)),
        facade_material="plaster", roof="pitched", roof_colour=(176, 88, 58), floors=(2, 5), floor_m=3.2,
        window=(1.1, 1.7), window_step_m=2.6, frame=(244, 236, 220), shutters=(72, 112, 88),
        road=(132, 126, 120), pavement=(196, 176, 148), pavement_material="slabs", terrain=(168, 150, 88),
        tree="tall", leaves=((62, 92, 48), (84, 108, 58), (108, 118, 66)), fence=(60, 60, 58),
        wall=(208, 180, 140), tram=(232, 196, 64),
    ),
    Style(
        name="nordvik",  # northern: painted boards, steep roofs, firs, dark wet-looking asphalt
        facades=((150, 52, 44), (208, 168, 74), (226, 226, 220), (78, 110, 132), (104, 128, 92)),
        facade_material="boards", roof="steep", roof_colour=(62, 60, 64), floors=(2, 3), floor_m=2.9,
        window=(1.3, 1.3), window_step_m=2.9, frame=(246, 246, 242), shutters=None,
        road=(84, 86, 92), pavement=(140, 142, 144), pavement_material="slabs", terrain=(92, 132, 64),
        tree="cone", leaves=((36, 74, 54), (46, 86, 60), (58, 92, 58)), fence=(224, 222, 214),
        wall=(120, 118, 116), tram=(40, 98, 138),
    ),
    Style(
        name="graumark",  # stately: pale stone, mansard slate, limes, cobbled pavements
        facades=((196, 188, 172), (178, 172, 160), (210, 202, 182), (164, 158, 150), (188, 176, 156)),
        facade_material="stone", roof="pitched", roof_colour=(88, 92, 104), floors=(4, 6), floor_m=3.6,
        window=(1.3, 2.2), window_step_m=2.7, frame=(226, 220, 206), shutters=None,
        road=(104, 104, 106), pavement=(158, 154, 148), pavement_material="cobbles", terrain=(112, 140, 70),
        tree="round", leaves=((86, 122, 50), (104, 138, 60), (122, 146, 70)), fence=(44, 50, 48),
        wall=(158, 150, 138), tram=(196, 60, 52),
    ),
    Style(
        name="glasport",  # modern: glass and concrete, flat roofs, window bands, young trees
        facades=((112, 138, 156), (142, 158, 168), (92, 112, 132), (176, 184, 188), (124, 132, 138)),
        facade_material="concrete", roof="flat", roof_colour=(120, 124, 128), floors=(6, 14), floor_m=3.4,
        window=(2.9, 2.3), window_step_m=3.2, frame=(70, 82, 92), shutters=None,
        road=(92, 94, 98), pavement=(184, 186, 188), pavement_material="slabs", terrain=(118, 156, 78),
        tree="round", leaves=((98, 148, 66), (120, 162, 74), (84, 132, 64)), fence=(150, 156, 160),
        wall=(170, 172, 174), tram=(88, 178, 120),
    ),
    Style(
        name="ziegelhof",  # brick town: red and brown brick, white frames, maples in autumn
        facades=((150, 74, 56), (128, 62, 50), (168, 92, 66), (116, 68, 58), (180, 112, 84)),
        facade_material="brick", roof="steep", roof_colour=(104, 58, 50), floors=(2, 4), floor_m=3.1,
        window=(1.2, 1.6), window_step_m=2.4, frame=(240, 238, 230), shutters=None,
        road=(112, 108, 108), pavement=(158, 122, 104), pavement_material="cobbles", terrain=(124, 134, 62),
        tree="round", leaves=((196, 128, 42), (172, 92, 40), (148, 132, 52), (204, 158, 62)),
        fence=(96, 66, 46), wall=(142, 80, 62), tram=(236, 232, 220),
    ),
)  # fmt: skip
STYLE_BY_NAME = {style.name: style for style in STYLES}
