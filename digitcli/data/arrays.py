"""Array types for images, and operations on boxes."""

from collections.abc import Callable
from typing import Any, NamedTuple

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
"""Boxes, int64 (count, 4), with the columns of ``Box``."""

Floats = npt.NDArray[np.float64]
"""float64 of any shape."""

Classify = Callable[[Image28], Floats]
"""Returns the classes' probabilities, float64 (count, classes), of images in MNIST form."""


class Box(NamedTuple):
    """A box in an image, in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def pixels_of(box: Box | Boxes) -> tuple[slice, slice]:
    """Returns the index of a box's pixels in an array (height, width)."""
    left, top, right, bottom = box
    return slice(top, bottom), slice(left, right)


def bounding_box(values: npt.NDArray[Any]) -> Box:
    """Returns the smallest box around all that is not 0 in an array (height, width)."""
    (rows,), (columns,) = (np.nonzero(values.any(axis=axis)) for axis in (1, 0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def union(boxes: Boxes) -> Box:
    """Returns the smallest box around boxes."""
    return Box(*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())


def longer_side(box: Box) -> int:
    """Returns the longer side of a box in pixels."""
    return max(box.right - box.left, box.bottom - box.top)


def sizes(boxes: Boxes) -> Boxes:
    """Returns the width and height of boxes, int64 (count, 2)."""
    return boxes[:, 2:] - boxes[:, :2]


def gaps(boxes: Boxes, box: Boxes) -> Boxes:
    """Returns the horizontal and vertical gaps from boxes to a box, int64 (count, 2) in pixels.

    A negative gap is the length of an overlap.
    """
    return np.maximum(boxes[:, :2] - box[2:], box[:2] - boxes[:, 2:])


def distances(boxes: Boxes, box: Boxes) -> Floats:
    """Returns the Euclidean distances from boxes to a box, float64 (count,) in pixels."""
    return np.hypot(*gaps(boxes, box).clip(0).T)


def strictly_inside(boxes: Boxes, box: Boxes) -> Mask:
    """Returns True for boxes inside a box that touch none of its sides, bool (count,)."""
    margins = (boxes - box) * (1, 1, -1, -1)
    return margins.min(axis=1) > 0
