"""Label maps and instance maps that hold no ids, other ids, or those of another photograph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bad_inputs.corpus import FOLDER, Case, one
from bad_inputs.encoders import packed_png, png
from bad_inputs.good import LAYOUTS, SIZE, City, encode
from bad_inputs.photographs import AGAIN, SMALLER
from segspade_core.labels import ids_to_colours

SAVE = "Save its ids as a grey PNG of 8 bits"
VOID = "If {} void in your data, write 255 instead; if the PNG holds colours, convert it to label ids first"
INSTANCES = "Save its ids as a grey PNG of 16 bits"
HEIGHT, WIDTH = SIZE


def label(problem: str) -> str:
    """The message of a source whose first label map has this problem."""
    return one(f"{{label}}: {problem}")


def instance(problem: str) -> str:
    """The message of a source whose first instance map has this problem."""
    return one(f"{{instance}}: {problem}")


def as_label(content: bytes | Callable[[City], bytes]) -> Callable[[City], None]:
    """Puts other bytes in the place of the first label map."""

    def change(city: City) -> None:
        city.put(city.label, content if isinstance(content, bytes) else content(city))

    return change


def as_instance(content: bytes | Callable[[City], bytes]) -> Callable[[City], None]:
    """Puts other bytes in the place of the first instance map."""

    def change(city: City) -> None:
        city.put(city.instance, content if isinstance(content, bytes) else content(city))

    return change


def colours(city: City) -> np.ndarray:
    """The first label map in Cityscapes' colours, (32, 64, 3)."""
    return ids_to_colours(city.label_ids)


def quantised(city: City) -> bytes:
    """A colour map as a program that makes files smaller leaves it: indices are not ids."""
    used, indices = np.unique(city.label_ids, return_inverse=True)
    palette = ids_to_colours(used[None])[0]
    return packed_png(indices.reshape(SIZE), 8, palette.tobytes())


def with_unknown_ids(city: City) -> bytes:
    """Two ids that are in no table, in four pixels."""
    ids = city.label_ids.copy()
    ids[0, :3], ids[1, 0] = 77, 34
    return encode(ids)


def with_hundreds_of_ids(_city: City) -> bytes:
    """What a photograph in grey looks like."""
    return encode(np.arange(HEIGHT * WIDTH).clip(max=239).astype(np.uint8).reshape(SIZE))


def other_instances(city: City) -> bytes:
    """Two pixels of another class than the label map says."""
    ids = city.label_ids.astype(np.uint16)
    ids[2, 10:12] = 31000
    return encode(ids)


CASES = (
    Case("empty label map", as_label(b""), label(f"is empty. {AGAIN}"), LAYOUTS),
    Case("text for a label map", as_label(b"road road car"), label(f"is not a PNG image. {AGAIN}")),
    Case(
        "truncated label map",
        as_label(lambda city: city.files[city.label][:200]),
        label(f"is cut off after 200 bytes. {AGAIN}"),
    ),
    Case(
        "JPEG for a label map",
        as_label(lambda city: encode(city.label_ids, "JPEG")),
        label("is a JPEG, which blurs label ids. Export the label ids as PNG"),
        LAYOUTS,
    ),
    Case(
        "colours for ids",
        as_label(lambda city: encode(colours(city))),
        label("is an RGB colour map. Convert it to label ids first"),
        LAYOUTS,
    ),
    Case(
        "RGBA for ids",
        as_label(lambda city: encode(np.dstack([colours(city), np.full(SIZE, 255, np.uint8)]))),
        label("is an RGBA colour map. Convert it to label ids first"),
    ),
    Case(
        "alpha beside ids",
        as_label(lambda city: png(WIDTH, HEIGHT, 8, 4, [bytes(2 * WIDTH)] * HEIGHT)),
        label("has an alpha channel beside its ids. Save it as a grey PNG of 8 bits, without alpha"),
    ),
    Case(
        "palette of colours in the order of use",
        as_label(quantised),
        label(f"is a palette map, and its colours do not say that its indices are label ids. {SAVE}"),
    ),
    Case(
        "palette shorter than its indices",
        as_label(packed_png(np.full(SIZE, 7), 8, bytes(3))),
        label(f"is a palette map, and its colours do not say that its indices are label ids. {SAVE}"),
    ),
    Case(
        "16-bit label map",
        as_label(lambda city: encode(city.label_ids.astype(np.uint16))),
        label(f"has 16 bits a pixel, where a label map has 8. {SAVE}"),
        LAYOUTS,
    ),
    Case(
        "1-bit label map",
        as_label(packed_png(np.eye(HEIGHT, WIDTH, dtype=np.uint8), 1)),
        label(f"has 1 bit a pixel, of which 1 may mean id 1 or, made smaller, id 255. {SAVE}"),
    ),
    Case(
        "2-bit label map",
        as_label(packed_png(np.eye(HEIGHT, WIDTH, dtype=np.uint8) * 3, 2)),
        label(f"has 2 bits a pixel, of which 3 may mean id 3 or, made smaller, id 255. {SAVE}"),
    ),
    Case(
        "4-bit label map",
        as_label(packed_png(np.eye(HEIGHT, WIDTH, dtype=np.uint8), 4)),
        label(f"has 4 bits a pixel, of which 1 may mean id 1 or, made smaller, id 17. {SAVE}"),
    ),
    Case(
        "label map of 30000x30000",
        as_label(png(30000, 30000, 8, 0)),
        label(f"would unpack to 30000x30000 pixels, more than the 67108864 allowed (a bomb?). {SMALLER}"),
    ),
    Case(
        "half a last row",
        as_label(png(WIDTH, HEIGHT, 8, 0, [bytes([7] * WIDTH)] * 31 + [bytes([7] * 10)])),
        label(f"lacks 54 of the 2080 bytes of its pixels. {AGAIN}"),
    ),
    Case(
        "wrong size",
        as_label(lambda city: encode(city.label_ids[:16, :32])),
        label(
            "is 16x32 pixels, its photograph is 32x64 (height x width). Export the label map at the "
            "photograph's size"
        ),
        LAYOUTS,
    ),
    Case(
        "label map on its side",
        as_label(lambda city: encode(np.rot90(city.label_ids).copy())),
        label(
            "is 64x32 pixels, its photograph is 32x64 (height x width). Export the label map at the "
            "photograph's size"
        ),
    ),
    Case(
        "unknown ids",
        as_label(with_unknown_ids),
        label(
            "label ids 34 (1 of 2048 pixels), 77 (3 of 2048 pixels) are not in label table 'cityscapes', "
            "which lists 0..33 and 255. " + VOID.format("they mean")
        ),
        ("cityscapes", "minicity"),
    ),
    Case(
        "hundreds of unknown ids",
        as_label(with_hundreds_of_ids),
        label(
            "label ids 34 (1 of 2048 pixels), 35 (1 of 2048 pixels), 36 (1 of 2048 pixels), 37 (1 of 2048 "
            "pixels), 38 (1 of 2048 pixels) and 201 more are not in label table 'cityscapes', which lists "
            "0..33 and 255. " + VOID.format("they mean")
        ),
    ),
    Case(
        "Cityscapes' ids in CamVid",
        as_label(encode(np.full(SIZE, 26, np.uint8))),
        label(
            "label id 26 (2048 of 2048 pixels) is not in label table 'camvid', which lists 0..11 and 255. "
            + VOID.format("it means")
        ),
        ("camvid",),
    ),
    Case(
        "8-bit instance map",
        as_instance(lambda city: encode(city.label_ids)),
        instance(f"has 8 bits a pixel, where an instance map has 16. {INSTANCES}"),
    ),
    Case(
        "colours for instances",
        as_instance(lambda city: encode(colours(city))),
        instance("is an RGB colour map. Convert it to instance ids first"),
    ),
    Case(
        "palette for instances",
        as_instance(packed_png(np.zeros(SIZE, np.uint8), 8, bytes(3))),
        instance("is a palette colour map. Convert it to instance ids first"),
    ),
    Case(
        "wrong size of instances",
        as_instance(lambda city: encode(city.label_ids[:16].astype(np.uint16))),
        instance(
            "is 16x64 pixels, its photograph is 32x64 (height x width). Export the instance map at the "
            "photograph's size"
        ),
        ("minicity",),
        (FOLDER,),
    ),
    Case(
        "instances of another annotation",
        as_instance(other_instances),
        instance(
            "does not agree with the label map in 2 of 2048 pixels: the first is instance id 31000, of label "
            "id 31, where the label map says 21. Export both maps from the same annotation"
        ),
    ),
)
