"""A pinhole camera behind the windscreen, above a flat ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
NEAREST_M = 0.8


@dataclass(frozen=True)
class Camera:
    """World: x right, y up, z ahead, metres, the ground at y = 0. Image: u right, v down, pixels."""

    height_px: int
    width_px: int
    focal_px: float
    centre_u: float
    horizon_v: float
    height_m: float = 1.4

    @classmethod
    def for_size(cls, height_px: int, width_px: int, turn: float = 0.0, tilt: float = 0.0) -> Camera:
        """Everything scales with the image height; `turn` and `tilt` move the vanishing point, in heights."""
        return cls(
            height_px,
            width_px,
            focal_px=1.3 * height_px,
            centre_u=width_px / 2 + turn * height_px,
            horizon_v=(0.45 + tilt) * height_px,
        )

    def project(self, points: Points | list[Any]) -> Points:
        """(…, 3) metres → (…, 2) pixels (u, v).

        Points behind NEAREST_M are moved there: exact for faces along the axes, which is all that
        reaches so near.
        """
        points = np.asarray(points, np.float64)
        scale = self.focal_px / np.maximum(points[..., 2], NEAREST_M)
        u = self.centre_u + points[..., 0] * scale
        v = self.horizon_v + (self.height_m - points[..., 1]) * scale
        return np.stack([u, v], axis=-1)

    def ground_depth(self) -> npt.NDArray[np.float32]:
        """(H, 1) depth of the ground in metres at each row; 1e4 above the horizon."""
        below = np.arange(self.height_px, dtype=np.float32)[:, None] + 0.5 - np.float32(self.horizon_v)
        depth = np.float32(self.focal_px * self.height_m) / np.maximum(below, np.float32(1e-3))
        return np.minimum(depth, np.float32(1e4))
