"""Out-of-distribution warnings: images that may not show exactly one digit."""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

DIGITS = frozenset("0123456789")

_MIN_PROBABILITY = 0.6
"""Minimum probability of an answer without a warning. Measured with the recipe "best": 3 in 1,000
validation digits are below it."""

_MAX_INK_SHARE = 0.62
"""Maximum share of the 20x20 box that the ink of a digit fills. Measured: 1 in 10,000 training
digits of MNIST is above 0.6."""

_BOX_AREA = 20 * 20

_SURE = 0.99
"""Probability from which on an answer gets no warning of a filled shape."""

_MAX_SQUARE_SHARE = 0.41
"""Maximum share of all ink that the largest square of ink holds. Measured with the recipe "best":
9 in 10,000 validation digits are above it and below ``_SURE``."""

_MAX_BAR_RATIO = 0.25
"""Maximum ratio of the standard deviations of a bar's ink, across it and along it. Measured: 92 in
100 of MNIST's ones are below it, and 2 in 1,000 of its other digits."""

_UPRIGHT = (-25.0, 48.0)
"""Lowest and highest tilt to the right, in degrees, of a bar that can be a 1. Measured: 5 in 10,000
training digits of MNIST are bars beyond."""

_INK_LEVEL = 128
"""Minimum gray level of a pixel of ink, 0 to 255."""

_SQUARE_FILL = 0.97
"""Minimum share of ink among the pixels of a square of ink."""


def ood_warning(
    image: npt.NDArray[np.uint8],
    others: int,
    probability: float,
    classes: Iterable[str] = DIGITS,
    *,
    label: str | None = None,
    doubtful: bool = False,
    stripe: bool = False,
) -> str | None:
    """Returns a warning if an image may not show exactly one digit.

    For classes other than digits the usual amount of ink is unknown, and a network trained without
    outliers shows only by a low probability that an image is none of its classes.

    Args:
        image: uint8 (28, 28), in MNIST form.
        others: Number of further components in the picture that are as large as a digit.
        probability: Probability of the answer, in 0..1.
        classes: Names of the network's classes.
        label: The answer.
        doubtful: True if the preparation found no digit that the network is sure of.
        stripe: True for a bar from border to border of the picture.
    """
    doubtful |= probability < _MIN_PROBABILITY
    if others:
        return f"there are {others + 1} separate shapes, and one of them is read"
    if not set(classes) <= DIGITS:
        return "the answer is unsure" if doubtful else None
    if stripe:
        return "the shape is a stripe from border to border"
    if label == "1" and not _is_upright(image):
        return "the shape is a slanting line"
    return _shape_warning(image, probability, doubtful)


def _shape_warning(image: npt.NDArray[np.uint8], probability: float, doubtful: bool) -> str | None:
    if float(image.sum()) / 255 > _MAX_INK_SHARE * _BOX_AREA:
        return "the shape is too full of ink for a digit"
    if doubtful:
        return "the shape does not look like one digit"
    if probability < _SURE and _is_filled(image):
        return "the shape is filled rather than made of strokes"
    return None


def _is_upright(image: npt.NDArray[np.uint8]) -> bool:
    """Returns False for a straight bar that leans too far to be a 1."""
    tilt = bar_tilt(image)
    return tilt is None or _UPRIGHT[0] <= tilt <= _UPRIGHT[1]


def bar_tilt(image: npt.NDArray[np.uint8]) -> float | None:
    """Returns the tilt to the right of a straight bar, or None for any other shape.

    Args:
        image: uint8 (rows, columns), not all 0.

    Returns:
        Degrees from upright, in -90..90: the direction of the principal axis of the ink.
    """
    rows, columns = (np.arange(size) for size in image.shape)
    ink = image / image.sum(dtype=np.float64)
    y, x = rows - ink.sum(axis=1) @ rows, columns - ink.sum(axis=0) @ columns
    yy, xx, xy = ink.sum(axis=1) @ y**2, ink.sum(axis=0) @ x**2, y @ ink @ x
    mean, spread = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    if mean - spread >= _MAX_BAR_RATIO**2 * (mean + spread):
        return None
    return -math.degrees(math.atan2(2 * xy, yy - xx) / 2)


def _is_filled(image: npt.NDArray[np.uint8]) -> bool:
    """Returns True if a square of ink holds more than ``_MAX_SQUARE_SHARE`` of all ink.

    A pen draws long thin shapes; objects in photos are often round and filled.
    """
    mask = image >= _INK_LEVEL
    smallest = math.isqrt(int(_MAX_SQUARE_SHARE * float(image.sum()) / 255)) + 1
    largest = math.isqrt(int(np.count_nonzero(mask) / _SQUARE_FILL))
    if smallest > largest:
        return False
    ink = np.zeros((len(mask) + 1, len(mask) + 1), np.int32)  # summed-area table
    ink[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    for side in range(smallest, min(largest, len(mask)) + 1):
        squares = ink[side:, side:] - ink[:-side, side:] - ink[side:, :-side] + ink[:-side, :-side]
        if squares.max() >= _SQUARE_FILL * side * side:
            return True
    return False
