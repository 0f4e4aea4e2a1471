"""What is painted on in the studio, and what becomes of it: opened, painted, segmented again, saved."""

from __future__ import annotations

import io
import re
import threading
import time
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.config import MinicityConfig, PictureConfig
from segspade_core.datasets import png
from segspade_core.datasets.any_picture import decode_any_label_map, decode_any_photograph
from segspade_core.datasets.files import BadFile
from segspade_core.datasets.minicity import draw_frame
from segspade_core.datasets.resize import resize_area, resize_nearest
from segspade_core.errors import InputError
from segspade_core.metrics.cycle import agreement
from segspade_core.there_and_back import PictureModels, ThereAndBack
from tasks.trying import picture_files

Pixels = npt.NDArray[np.uint8]
# what has no more colours than this is drawn, and was perhaps meant as a label map
_FLAT_COLOURS, _LOOKED_AT = 64, 1 << 17
# as the official maps are called: one that cannot be read is not to be taken for a photograph
_MAP_NAME = re.compile(r"(label.?ids|label.?map|_colou?r)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Scene:
    """One scene, at the size that it is worked on.

    Attributes:
        name: of the file, or of what was drawn.
        own: (H, W) that it came in.
        origin: how it was read, in words, and why not otherwise; empty where it was drawn.
        photograph: (h, w, 3) uint8; None where it came as a label map.
        first: (h, w) uint8 label ids, as one has painted them by now.
        painting: (h, w, 3) uint8 of `first`; None until it is painted.
        second: (h, w) uint8 label ids of `painting`; None until the cycle is run.
        asked: what was asked of `painting`.
    """

    name: str
    own: tuple[int, int]
    photograph: Pixels | None
    first: Pixels
    painting: Pixels | None = None
    second: Pixels | None = None
    origin: str = ""
    asked: PictureConfig = field(default_factory=PictureConfig)

    @property
    def result(self) -> ThereAndBack | None:
        """All of the cycle, once it was run."""
        if self.painting is None or self.second is None:
            return None
        return ThereAndBack(
            self.photograph, self.first, self.painting, self.second, agreement(self.first, self.second)
        )


class Studio:
    """Models that several pages share, one at a time."""

    def __init__(self, models: PictureModels, about: dict[str, Any]) -> None:
        """Take the models.

        Args:
            about: which they are, for agreement.json.
        """
        self.models, self.about = models, about
        # the painter's tables are of one map at a time, and so is the processor
        self._turn = threading.Lock()

    @property
    def conditions(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Cities and times of day that the generator knows."""
        architecture = self.models.generator.architecture
        return architecture.cities, architecture.times_of_day

    @property
    def knows_styles(self) -> bool:
        return self.models.style_encoder is not None

    def warm_up(self) -> None:
        """Paint once, so that whoever comes first does not wait for kernels to be loaded."""
        self.paint(self.draw(0, None), self.draw(0, None).first, PictureConfig(), None)

    def open(self, content: bytes, name: str, size: tuple[int, int] | None) -> Scene:
        """A photograph, which is segmented, or a label map: a PNG of nothing but ids, or official colours.

        Args:
            size: (h, w) to work at; None takes what suits the models.

        Raises:
            InputError: it is neither; the message names the file.
        """
        no_map = None
        try:
            if content.startswith(png.SIGNATURE):
                return self._of_map(decode_any_label_map(content), name, size)
        except BadFile as error:
            if _MAP_NAME.search(name):
                raise InputError(str(error.of(name))) from error
            no_map = error
        try:
            photograph = decode_any_photograph(content)
        except BadFile as error:
            raise InputError(str(error.of(name))) from error
        own = photograph.shape[0], photograph.shape[1]
        resized = np.array(resize_area(photograph, size or self.models.size_of(own)))
        origin = "read as a photograph"
        if no_map is not None and _is_flat(photograph):
            origin += f", as no label map: it {no_map.what}"
        with self._turn:
            return Scene(name, own, resized, self.models.segment(resized), origin=origin)

    def _of_map(self, label_ids: Pixels, name: str, size: tuple[int, int] | None) -> Scene:
        own = label_ids.shape[0], label_ids.shape[1]
        resized = np.array(resize_nearest(label_ids, size or self.models.size_of(own)))
        return Scene(name, own, None, resized, origin="read as a label map")

    def draw(self, seed: int, size: tuple[int, int] | None) -> Scene:
        """A street of Minicity with its exact map."""
        height, width = size or self.models.size_of((1, 2))
        config = MinicityConfig(train=1, val=0, size=(height, width), seed=seed)
        sample = draw_frame(config, "train", 0).sample
        assert sample.label_ids is not None
        return Scene(f"drawn street {seed}", (height, width), sample.image, sample.label_ids)

    def paint(
        self, scene: Scene, label_ids: Pixels, config: PictureConfig, style_image: Pixels | None
    ) -> tuple[Scene, float]:
        """The scene with this map and its painting, and the seconds that took.

        Raises:
            InputError: the map has another size, or the generator cannot paint as asked.
        """
        if label_ids.shape != scene.first.shape:
            raise InputError("the map has another size than its scene; open it again")
        began = time.perf_counter()
        with self._turn:
            painting = self.models.paint(label_ids, self.models.code(config, style_image))
        done = replace(scene, first=label_ids, painting=painting, second=None, asked=config)
        return done, time.perf_counter() - began

    def cycle(self, scene: Scene) -> Scene:
        """The scene with what the segmenter reads off its painting, which is there."""
        assert scene.painting is not None
        with self._turn:
            return replace(scene, second=self.models.segment(scene.painting))

    def saved(self, scene: Scene) -> tuple[str, bytes]:
        """A name, and a zip with every picture of the scene: those that `segspade try` writes."""
        done = scene if scene.second is not None else self.cycle(scene)
        result = done.result
        assert result is not None
        asked = scene.asked.model_dump(mode="json", include={"style", "city", "time_of_day"})
        about = {"file": scene.name, "own_size": list(scene.own), **self.about, **asked}
        note = "; ".join(
            f"{name} {value}" for name, value in (self.about | asked).items() if value is not None
        )
        stem = re.sub(r"[^\w.-]+", "-", PurePath(scene.name).stem).strip("-.") or "scene"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, make in picture_files(result, scene.name, note, scene.own, about).items():
                archive.writestr(f"{stem}/{name}", make())
        return f"{stem}.zip", buffer.getvalue()


def _is_flat(photograph: Pixels) -> bool:
    """Whether the (H, W, 3) uint8 picture is of a few colours; of many pixels, some are looked at."""
    pixels = photograph.reshape(-1, 3)
    some = pixels[:: 1 + len(pixels) // _LOOKED_AT].astype(np.uint32)
    return np.unique(some @ np.array([65536, 256, 1], np.uint32)).size <= _FLAT_COLOURS
