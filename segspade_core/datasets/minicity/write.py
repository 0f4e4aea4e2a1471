"""Frames on disk, in the official Cityscapes folder layout."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segspade_core.config import MinicityConfig
from segspade_core.datasets.minicity.frame import MinicityFrame
from segspade_core.datasets.minicity.naming import sample_of
from segspade_core.labels import ids_to_colours

# what file names cannot say: config, and the time of day of every frame
INDEX_FILE = "minicity.json"


def write_frame(frame: MinicityFrame, split: str, folder: Path) -> list[Path]:
    """Write a frame's photograph, labelIds, instanceIds, colour map and polygons below `folder`.

    Returns:
        The files; what they hold may not be on the disk yet.
    """
    name, sample = frame.name, frame.sample
    assert sample.label_ids is not None
    assert sample.instance_ids is not None
    truth = folder / "gtFine" / split / name.city / f"{name.id}_gtFine"
    photo = folder / "leftImg8bit" / split / name.city / f"{name.id}_leftImg8bit.png"
    colours = ids_to_colours(sample.label_ids)
    opaque = np.full((*colours.shape[:2], 1), 255, np.uint8)
    files = {
        photo: _png(sample.image),
        Path(f"{truth}_labelIds.png"): _png(sample.label_ids),
        Path(f"{truth}_instanceIds.png"): _png(sample.instance_ids),
        # the official colour maps have an alpha channel
        Path(f"{truth}_color.png"): _png(np.concatenate([colours, opaque], axis=-1)),
        Path(f"{truth}_polygons.json"): json.dumps(frame.polygons, separators=(",", ":")).encode(),
    }
    for path, content in files.items():
        _put(path, content)
    return list(files)


def write_index(config: MinicityConfig, folder: Path) -> None:
    """Write the file that says how the city was drawn, and each frame's split and time of day."""
    frames = {}
    for split, count in (("train", config.train), ("val", config.val)):
        for index in range(count):
            name = sample_of(config, split, index)
            frames[name.id] = {"split": split, "time_of_day": name.time_of_day}
    content = {"config": config.model_dump(mode="json"), "frames": frames}
    _put(folder / INDEX_FILE, (json.dumps(content, indent=1) + "\n").encode())


def _png(pixels: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    # level 1: a photograph with sensor noise gets hardly smaller with more, and takes three times as long
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _put(path: Path, content: bytes) -> None:
    """Put a file whole, so that a reader never meets half a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
