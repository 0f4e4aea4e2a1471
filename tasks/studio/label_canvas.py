"""A label map to paint on, as a component of the page: ids in, ids out, and never a blend of two classes.

The browser holds one byte a pixel, the label id, and paints in the colours of the table; an editor of
pictures would smooth the edges of its brush into colours that are no class.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from importlib import resources
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt

from segspade_core.errors import InputError
from segspade_core.labels import IGNORE_ID, LABELS, NUM_IDS, VOID_IDS

MAX_PIXELS = 1 << 22
_stamps = itertools.count(1)
_PARTS = resources.files("tasks.studio")


def _part(name: str) -> str:
    return (_PARTS / name).read_text("utf-8")


def label_canvas() -> gr.HTML:
    """A map with its palette; `stroke` is triggered when one has painted. Its value: see `encode`.

    A function and no class: of a class, Gradio writes a stub beside its file.
    """
    return gr.HTML(
        value=None,
        html_template=_part("label_canvas.html"),
        css_template=_part("label_canvas.css"),
        js_on_load=_part("label_canvas.js"),
        apply_default_css=False,
        elem_id="label-canvas",
        classes=palette(),
    )


def palette() -> list[dict[str, Any]]:
    """Of every class that can be painted: id, name, category, colour as #rrggbb."""
    return [
        {
            "id": label.id,
            "name": label.name,
            "category": label.category,
            "colour": "#{:02x}{:02x}{:02x}".format(*label.colour),
        }
        for label in LABELS
        if 0 <= label.id < NUM_IDS and label.id not in VOID_IDS
    ]


def encode(label_ids: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """(H, W) uint8 label ids → the component's value; each is another one, so that the page takes it anew."""
    height, width = label_ids.shape
    ids = base64.b64encode(np.ascontiguousarray(label_ids).tobytes()).decode()
    return {"height": height, "width": width, "ids": ids, "stamp": next(_stamps)}


def decode(value: Any) -> npt.NDArray[np.uint8]:
    """The component's value → (H, W) uint8 label ids. It comes from a browser: anything may be in it.

    Raises:
        InputError: it is no map.
    """
    try:
        height, width = int(value["height"]), int(value["width"])
        if not (height > 0 and width > 0 and height * width <= MAX_PIXELS):
            raise InputError("the map has no size that can be painted; open the picture again")
        ids = base64.b64decode(value["ids"], validate=True)
        label_ids = np.frombuffer(ids, np.uint8).reshape(height, width).copy()
    except (TypeError, KeyError, ValueError, binascii.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("there is no map to paint yet; open a photograph, or draw a street") from error
    if ((label_ids >= NUM_IDS) & (label_ids != IGNORE_ID)).any():
        raise InputError("the map holds an id that is in no table of labels; open the picture again")
    return label_ids
