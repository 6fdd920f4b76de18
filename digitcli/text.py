"""Text that is safe to show: control characters escaped, shares never rounded to 0 or 1."""

import math
import re

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00016fe4"
    "\U0001d159\U000e0100-\U000e01ef]"
)
"""Characters that Python counts as printable and that show nothing: fillers, variation selectors.
With them two names look alike."""


def visible(text: str) -> str:
    r"""Escapes characters that move the cursor, set colors, break a line or show nothing.

    For example newlines ("\n"), escapes ("\x1b") and fillers ("\u3164").
    """
    if text.isprintable() and (text.isascii() or not _UNSEEN.search(text)):
        return text
    return "".join(c.encode("unicode_escape").decode() if _is_unseen(c) else c for c in text)


def _is_unseen(character: str) -> bool:
    return not character.isprintable() or _UNSEEN.match(character) is not None


def below_one(share: float, decimals: int = 4) -> float:
    """Returns a share to print with so many decimals, such that only exactly 1 is shown as 1.

    The same holds for -1, of differences between shares.
    """
    largest = 1 - 10**-decimals
    return math.copysign(largest, share) if largest <= abs(share) < 1 else share


def decimal_share(share: float) -> str:
    """Returns a share in 0..1 with four decimals; only exactly 0 and 1 are shown as these."""
    return fixed(below_one(share), 4)


def percent(share: float, decimals: int = 2, unit: str = "%") -> str:
    """Returns a share in 0..1 as a percentage.

    Only exactly 1 is shown as "100.00%", and only exactly 0 as "0.00%": "<0.01%" is less than any
    number with so many decimals.
    """
    if share > 0 and round(share * 100, decimals) == 0:
        return f"<{10.0**-decimals:.{decimals}f}{unit}"
    return f"{below_one(share, decimals + 2) * 100:.{decimals}f}{unit}"


def fixed(value: float, decimals: int = 3, sign: str = "") -> str:
    """Formats a number with fixed decimals, and one too small for them with an exponent."""
    value += 0.0  # which makes -0.0 to 0.0
    large = abs(value) >= 10**-decimals or value == 0
    return f"{value:{sign}.{decimals}f}" if large else f"{value:{sign}.1e}"
