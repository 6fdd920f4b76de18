"""Standard output and standard error: what they are, and putting text on them safely."""

import contextlib
import json
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from digitcli.core.checkpointing.locate import is_bundled
from digitcli.core.errors import DigitcliError, error_reason
from digitcli.text import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from digitcli.core.checkpointing.metadata import Metadata


def is_terminal(stream: TextIO) -> bool:
    """Says whether a person watches a stream; ``FORCE_COLOR`` says so too, as rich has it.

    Asked before rich is imported, which a command in a shell loop has no need of. A terminal that
    is written to in ASCII, say, counts as none, for nothing can be drawn there.
    """
    return (bool(os.environ.get("FORCE_COLOR")) or stream.isatty()) and _takes_drawings(stream)


def is_animated(stream: TextIO) -> bool:
    """Says whether what is drawn on a stream can be drawn over: on a real terminal only."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and _takes_drawings(stream)


def _takes_drawings(stream: TextIO) -> bool:
    try:
        _DRAWN.encode(stream.encoding or "utf-8")  # a stream in memory has none, and takes all
    except UnicodeEncodeError:
        return False
    return True


_DRAWN = "▀█▏│─"
"""What bars, pictures and tables are made of."""


def output_console() -> "Console":
    """Makes a rich console on standard output; it draws what it is given, word for word."""
    return _console(stderr=False)


def print_whole(*drawings: "RenderableType") -> None:
    """Draws tables and pictures on standard output, each as wide as the terminal at most.

    One whose longest words need more is drawn that wide: the terminal wraps its lines, where rich
    would leave out what has no room.
    """
    from rich.measure import Measurement

    for drawing in drawings:
        console = output_console()
        endless = console.options.update(width=_ANY_WIDTH)
        console.width = max(console.width, Measurement.get(console, endless, drawing).minimum)
        console.print(drawing)


def fits(*drawings: "RenderableType") -> bool:
    """Says whether drawings have room on standard output without wrapping a cell."""
    from rich.measure import Measurement

    console = output_console()
    endless = console.options.update(width=_ANY_WIDTH)
    return all(
        Measurement.get(console, endless, drawing).maximum <= console.width for drawing in drawings
    )


_ANY_WIDTH = 10_000
"""Columns enough for every drawing."""


def error_console() -> "Console":
    """Makes a rich console on standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # which the command line answers for every kind of output

    return PlainConsole(stderr=stderr, highlight=False, markup=False, emoji=False)


def has_colour(console: "Console") -> bool:
    """Says whether a console shows colours: a terminal that can, and ``NO_COLOR`` not set."""
    return console.color_system is not None and not console.no_color


def print_line(text: str) -> None:
    """Prints a line on standard output at once, so that a pipe sees it when it happens.

    Raises:
        DigitcliError: The line cannot be written, because the disk is full, say.
    """
    try:
        print(text, flush=True)  # noqa: T201  the one place that prints results
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable_output(error) from error


def unwritable_output(error: OSError) -> DigitcliError:
    """Makes the fault that standard output cannot be written."""
    return DigitcliError(
        f"cannot write to standard output: {error_reason(error)}", "send it elsewhere"
    )


def print_json(value: Any) -> None:
    """Prints a value as one line of JSON on standard output.

    Bytes of a name that are no text are spelled out: JSON has a form for them, halves of
    characters, that not every reader accepts.
    """
    line = json.dumps(value, allow_nan=False)
    if "\\ud" in line:  # a half, or two that make a whole
        line = json.dumps(_in_whole_characters(value), allow_nan=False)
    print_line(line)


def _in_whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _in_whole_characters(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_whole_characters(item) for item in value]
    return value


def print_weights(path: Path, metadata: "Metadata") -> None:
    """Says on standard error which checkpoint the results that follow come from, and its worth.

    Args:
        path: Where it is.
        metadata: What it says of itself.
    """
    if is_bundled(path):
        print_note("using digitcli's own weights")
        return
    done, planned = metadata.epochs, metadata.recipe.epochs
    epochs = f"{done} epoch{'' if done == 1 else 's'}"
    if done < planned:
        epochs = f"{done} of {planned} epochs"
    worth = f"{visible(metadata.dataset)}, {epochs}"
    if metadata.accuracies:
        worth += f", {metadata.scored_on} accuracy {metadata.accuracies[-1].accuracy:.2%}"
    print_note(f"using the weights {visible(str(path))} ({worth})")


def print_note(text: str) -> None:
    """Prints a diagnostic line on standard error; results do not wait for somebody to read it."""
    with contextlib.suppress(OSError):
        print(at_words(f"{speaker()}: {text}"), file=sys.stderr, flush=True)  # noqa: T201


def at_words(line: str) -> str:
    """Breaks a line for standard error at spaces, where that is a terminal and has no room.

    A command in quotes stays whole, to be copied: a terminal's own break is no part of a text.
    """
    try:
        width = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # it is none, or a stream in memory
        return line
    whole = _COMMAND.sub(lambda command: command[0].replace(" ", _JOINT), line)
    lines = textwrap.wrap(whole, width or len(line), break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(_JOINT, " ")


_COMMAND = re.compile("'digitcli [^']*'")
_JOINT = "\x1f"
"""Stands for a space that is not to be broken at; in a line there is none of its own."""


def speaker() -> str:
    """Names the program, and which of several processes it is, for lines on standard error."""
    number = os.environ.get("RANK", "0")
    return "digitcli" if number == "0" else f"digitcli [rank {visible(number)}]"
