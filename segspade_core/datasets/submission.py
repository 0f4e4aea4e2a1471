"""Label maps as the Cityscapes benchmark wants them: one PNG of label ids a frame, at the annotation's size.

Source: github.com/mcordts/cityscapesScripts, evaluation/evalPixelLevelSemanticLabeling.py, `getPrediction`,
which takes `<city>_<sequence>_<frame>*.png`, in any folder below the submission's own, and one alone.
"""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segspade_core.datasets.resize import resize_nearest
from segspade_core.errors import InputError
from segspade_core.labels import NUM_IDS

SIZE = (1024, 2048)  # of every annotation
# layouts whose frames are named so; the drawn city is for rehearsals
LAYOUTS = ("cityscapes", "minicity")
_ID = re.compile(r"[^/_*?\[\]]+_[0-9]{6}_[0-9]{6}")


def submission_name(sample_id: str) -> str:
    """The file of a frame, found by its `<city>_<sequence>_<frame>`.

    Raises:
        InputError: the id is not made of these.
    """
    if _ID.fullmatch(sample_id) is None:
        raise InputError(
            f"sample '{sample_id}' is not named <city>_<sequence>_<frame>, each number of six digits: the "
            "Cityscapes server would not find it"
        )
    return f"{sample_id}_labelIds.png"


def submission_png(label_ids: npt.NDArray[Any], sample_id: str) -> bytes:
    """One map as PNG, brought to `SIZE` by nearest neighbour.

    Args:
        label_ids: (H, W) uint8 label ids, not train ids.
        sample_id: for the message.

    Raises:
        InputError: an id is not in the table.
    """
    strays = np.unique(label_ids[label_ids >= NUM_IDS])
    if strays.size:
        raise InputError(
            f"{sample_id}: label id {strays[0]} is not in label table 'cityscapes', which lists "
            f"0..{NUM_IDS - 1}"
        )
    buffer = io.BytesIO()
    Image.fromarray(resize_nearest(label_ids, SIZE)).save(buffer, "PNG")
    return buffer.getvalue()
