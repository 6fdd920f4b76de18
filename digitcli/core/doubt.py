"""When to doubt that a picture shows one digit."""

import numpy as np
import numpy.typing as npt

_SURE = 0.5
"""Probability of the answer under which a picture looks like no digit, or like two."""

_FULL = 0.62
"""Share of the 20x20 box that ink fills at most; of MNIST's training digits 1 in 2,000 has 0.6."""

_BOX_AREA = 20 * 20


def doubt(picture: npt.NDArray[np.uint8], others: int, probability: float) -> str | None:
    """Says why a picture is perhaps not of one digit.

    Args:
        picture: uint8 (28, 28), in MNIST form.
        others: Further shapes beside it that are as large as a digit.
        probability: Of the answer, in 0..1.

    Returns:
        A clause such as "it is too full of ink for a digit", or None for no doubt.
    """
    if others:
        return f"there are {others + 1} separate shapes, and one of them is read"
    if float(picture.sum()) / 255 > _FULL * _BOX_AREA:
        return "it is too full of ink for a digit"
    if probability < _SURE:
        return "it does not look like one digit"
    return None
