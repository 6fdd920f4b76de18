"""Numbers of softmax and loss as text: none reads as 0 or 1 that is not, and equations hold."""

import re
from collections.abc import Callable

from digitcli.text import fixed

_MAX_DIGITS = 17
"""Number of significant digits that distinguish all floats."""

_MAX_DECIMALS = 16
"""Number of decimals that distinguish the largest float below 1 from 1."""


def share(value: float, sign: str = "") -> str:
    """Formats a probability, or a difference of two, with three decimals.

    Only exactly 1 is shown as 1: what would be rounded to 1 gets more decimals.
    """
    decimals = 3
    while decimals < _MAX_DECIMALS and abs(value) < 1 and round(abs(value), decimals) == 1:
        decimals += 1
    return fixed(value, decimals, sign)


def total(value: float) -> str:
    """Formats a sum of exponentials, at least 1, with six significant digits.

    Only exactly 1 is shown as 1, as by ``share``.
    """
    digits = 6
    while digits < _MAX_DIGITS and value > 1 and float(f"{value:.{digits}g}") == 1:
        digits += 1
    return f"{value:.{digits}g}"


def exact_enough(holds: Callable[..., bool], *numbers: tuple[float, str]) -> list[str]:
    """Formats the numbers of an equation such that it holds as printed.

    Args:
        holds: Called with the numbers as a reader reads them; returns True if the equation holds.
        numbers: Values of at least one number, each with its usual text.

    Returns:
        The usual texts if the equation holds for them, otherwise texts with as few more significant
        digits as it needs.
    """
    texts = [text for _, text in numbers]
    least = list(map(significant, texts))
    for more in range(_MAX_DIGITS):
        if holds(*map(float, texts)):
            break
        digits = [min(each + more, _MAX_DIGITS) for each in least]
        texts = [f"{value:.{n}g}" for (value, _), n in zip(numbers, digits, strict=True)]
    return texts


def significant(text: str) -> int:
    """Returns the number of significant digits of a number, at least 1."""
    digits = re.sub("[^0-9]", "", text.partition("e")[0])
    return max(len(digits.lstrip("0")), 1)
