"""When to doubt that a picture shows one digit."""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

DIGITS = frozenset("0123456789")

_SURE = 0.6
"""Probability of the answer under which a picture looks like no digit, or like two; 3 in 1,000 of
the validation digits of a run of the recipe "best" are under it."""

_FULL = 0.62
"""Share of the 20x20 box that ink fills at most; 1 in 10,000 of MNIST's training digits has 0.6."""

_BOX_AREA = 20 * 20

_UNSURE = 0.99
_SOLID = 0.41
"""Share of all ink that the largest square of ink has at most, where the answer is less than
``_UNSURE``; 9 in 10,000 validation digits of a run of the recipe "best" are over both."""

_INK, _INK_SHARE = 128, 0.97
"""A pixel is ink from half of the whole on; a square is of ink but for 3 in 100 of its pixels."""


def doubt(
    picture: npt.NDArray[np.uint8],
    others: int,
    probability: float,
    classes: Iterable[str] = DIGITS,
) -> str | None:
    """Says why a picture is perhaps not of one digit.

    Where the classes are others than digits, nothing is known of how much ink they have, and a
    network that was shown nothing else in training can say no more than that it is unsure.

    Args:
        picture: uint8 (28, 28), in MNIST form.
        others: Further shapes beside it that are as large as a digit.
        probability: Of the answer, in 0..1.
        classes: Names of the classes that it was chosen from.

    Returns:
        A clause such as "it does not look like one digit", or None for no doubt.
    """
    if others:
        return f"there are {others + 1} separate shapes, and one of them is read"
    if not set(classes) <= DIGITS:
        return "the answer is unsure" if probability < _SURE else None
    if float(picture.sum()) / 255 > _FULL * _BOX_AREA:
        return "it is too full of ink for a digit"
    if probability < _SURE:
        return "it does not look like one digit"
    if probability < _UNSURE and _is_solid(picture):
        return "it is a filled shape rather than strokes"
    return None


def _is_solid(picture: npt.NDArray[np.uint8]) -> bool:
    """Says whether a square of ink is more than ``_SOLID`` of all ink.

    A pen makes long shapes, and a thing in a photo is often a round one.
    """
    mask = picture >= _INK
    smallest = math.isqrt(int(_SOLID * float(picture.sum()) / 255)) + 1
    largest = math.isqrt(int(np.count_nonzero(mask) / _INK_SHARE))
    if smallest > largest:
        return False
    ink = np.zeros((len(mask) + 1, len(mask) + 1), np.int32)  # up to each corner
    ink[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    for side in range(smallest, min(largest, len(mask)) + 1):
        within = ink[side:, side:] - ink[:-side, side:] - ink[side:, :-side] + ink[:-side, :-side]
        if within.max() >= _INK_SHARE * side * side:
            return True
    return False
