"""Text that is safe to show: control characters escaped, probabilities never rounded up to 1."""

import math


def visible(text: str) -> str:
    r"""Escapes characters that move the cursor, set colors or break a line ("\n", "\x1b")."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def below_one(share: float, decimals: int = 4) -> float:
    """Returns a share to print with so many decimals, such that only exactly 1 is shown as 1.

    The same holds for -1, of differences between shares.
    """
    largest = 1 - 10**-decimals
    return math.copysign(largest, share) if largest <= abs(share) < 1 else share


def percent(share: float) -> str:
    """Returns a share in 0..1 as a percentage; only exactly 1 is shown as "100.00%"."""
    return f"{below_one(share):.2%}"
