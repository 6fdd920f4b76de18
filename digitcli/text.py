"""Text that is safe to show: control characters escaped, probabilities never rounded up to 1."""


def visible(text: str) -> str:
    r"""Escapes characters that move the cursor, set colors or break a line ("\n", "\x1b")."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def below_one(probability: float) -> float:
    """Returns a probability to print with four decimals: only exactly 1 is shown as 1."""
    return 0.9999 if 0.9999 <= probability < 1 else probability
