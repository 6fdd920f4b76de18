"""Names for the kinds of arrays that images are processed as."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.float32]
"""A grayscale image, float32 (height, width) in 0..1, black to white."""

Ink = npt.NDArray[np.float32]
"""Ink of an image, float32 (height, width): 0 for background and 1 for full ink."""

Mask = npt.NDArray[np.bool_]
"""Pixels that belong to something, bool (height, width); or one value per component."""

Image28 = npt.NDArray[np.uint8]
"""An input of the network, uint8 (28, 28), light ink on black; or many, (count, 28, 28)."""

Labels = npt.NDArray[np.int32]
"""Numbers of components, int32 (height, width): 0 for background and ``i + 1`` for component i."""

Boxes = npt.NDArray[np.int64]
"""Boxes, int64 (count, 4): top, left, bottom and right in pixels, the last two exclusive."""

Floats = npt.NDArray[np.float64]
"""float64 of any shape."""


class Box(NamedTuple):
    """A rectangle in pixels of an upright image; ``right`` and ``bottom`` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int
