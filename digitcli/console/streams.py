"""Standard output and standard error: what they are, and putting text on them safely."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def is_terminal(stream: TextIO) -> bool:
    """Says whether a person watches a stream; ``FORCE_COLOR`` says so too, as rich has it.

    Asked before rich is imported, which a command in a shell loop has no need of.
    """
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def output_console() -> "Console":
    """Makes a rich console on standard output; it draws what it is given, word for word."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def error_console() -> "Console":
    """Makes a rich console on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def has_colour(console: "Console") -> bool:
    """Says whether a console shows colours: a terminal that can, and ``NO_COLOR`` not set."""
    return console.color_system is not None and not console.no_color


def visible(text: str) -> str:
    r"""Spells out what would move the cursor, colour the screen or break a line ("\n", "\x1b")."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_line(text: str) -> None:
    """Prints a line on standard output at once, so that a pipe sees it when it happens."""
    print(text, flush=True)  # noqa: T201  the one place that prints results


def print_json(value: Any) -> None:
    """Prints a value as one line of JSON on standard output."""
    print_line(json.dumps(value, allow_nan=False))


def print_note(text: str) -> None:
    """Prints a diagnostic line on standard error."""
    print(f"digitcli: {text}", file=sys.stderr, flush=True)  # noqa: T201
