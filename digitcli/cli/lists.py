"""Lists in options: scores and names, as users of many keyboards type them."""

import re
import unicodedata

from digitcli.core.errors import ScoresError

_COMMA = re.compile("[,，、﹐､;；]")
_PAIRS = ("[]", "()", "{}", "［］", "（）", "【】", "｛｝")


def split_names(text: str) -> list[str]:
    """Splits at commas, also full-width ones; brackets around the list and spaces are left out."""
    return [part.strip() for part in _COMMA.split(_unwrapped(text))]


def split_numbers(text: str, example: str) -> list[float]:
    """Splits at commas, or without them at spaces; digits may be full-width, too.

    Args:
        text: A list such as "2,1,0.1", "[2, 1, 0.1]" or "2，1，0.1".
        example: What to write instead, for the error.

    Raises:
        ScoresError: An item is not a number.
    """
    inner = unicodedata.normalize("NFKC", _unwrapped(text)).replace("−", "-")  # a minus sign
    parts = split_names(inner) if _COMMA.search(inner) else inner.split()
    try:
        return [float(part) for part in parts or [""]]
    except ValueError as error:
        raise ScoresError(
            f"{text!r} is not a list of numbers", f"write numbers like {example}"
        ) from error


def _unwrapped(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] + text[-1] in _PAIRS else text
