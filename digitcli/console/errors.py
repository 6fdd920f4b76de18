"""Prints an error as one line on standard error."""

import sys

from digitcli.console.streams import at_words, error_console, is_terminal, program_name
from digitcli.text import visible


def print_error(error: Exception | str) -> None:
    """Prints what is wrong and what to do next, as one line."""
    text = visible(str(error))
    if is_terminal(sys.stderr):
        from rich.text import Text

        line = Text(at_words(f"error: {text}"))
        line.stylize("bold red", end=len("error:"))
        error_console().print(line, soft_wrap=True)
    else:
        print(f"{program_name()}: error: {text}", file=sys.stderr, flush=True)  # noqa: T201
