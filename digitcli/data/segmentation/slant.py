"""Rows whose digits lean: estimating the slant of their strokes, and shearing them upright.

In a leaning row digits overlap in width, and a meter's digits lean further than people write.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcli.data.arrays import Floats, Ink, bounding_box, pixels_of

_SLOPES = np.arange(-12, 21) / 20  # width by height of a leaning stroke, to the right positive
_MAX_SIDE = 300  # maximum pixels of a side of the ink whose slant is estimated


@dataclass(frozen=True)
class Shear:
    """A shear of an image, and its enlargement."""

    slope: float = 0.0
    scale: int = 1
    height: int = 0  # of the image in pixels

    @property
    def _room(self) -> float:
        """Width that the shear adds on the left, in pixels of the image."""
        return max(0.0, -self.slope * self.height)

    def apply(self, ink: Ink) -> Ink:
        """Returns the ink of an image as it is after the shear."""
        height, width = ink.shape
        wider = math.ceil(width + abs(self.slope) * height)
        inverse = (1 / self.scale, -self.slope / self.scale, -self._room, 0, 1 / self.scale, 0)
        sheared = Image.fromarray(ink).transform(
            (wider * self.scale, height * self.scale),
            Image.Transform.AFFINE,
            inverse,
            Image.Resampling.BICUBIC,
        )
        return np.asarray(sheared).clip(0, 1)

    def original(
        self, columns: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
    ) -> tuple[Floats, Floats]:
        """Returns the places x and y in the image of the centers of pixels after the shear."""
        x, y = columns.astype(np.float64) + 0.5, rows.astype(np.float64) + 0.5
        return (x - self.slope * y) / self.scale - self._room, y / self.scale


NO_SHEAR = Shear()


def estimate_slope(ink: Ink) -> float:
    """Returns the slope of upright strokes: after the shear, columns have most ink or none."""
    ink = ink[pixels_of(bounding_box(ink))]
    step = -(-max(ink.shape) // _MAX_SIDE)
    ink = np.ascontiguousarray(ink[::step, ::step])
    sharpness = [
        float((Shear(slope, 1, len(ink)).apply(ink).sum(axis=0) ** 2).sum()) for slope in _SLOPES
    ]
    return float(_SLOPES[int(np.argmax(sharpness))])
