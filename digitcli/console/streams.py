"""Writing text safely to standard output and standard error, on terminals and elsewhere."""

import contextlib
import json
import os
import re
import sys
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from digitcli.core.checkpointing.locate import LATEST, PRETRAINED, is_bundled
from digitcli.core.errors import DigitcliError, error_reason
from digitcli.text import percent, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console, RenderableType
    from rich.measure import Measurement
    from rich.progress import Progress
    from rich.text import Text

    from digitcli.core.checkpointing.metadata import Metadata

_DRAWING = "▀█▏│─"
"""Characters that bars, images and tables consist of."""

_COMMAND = re.compile(r"""'digitcli(?: (?:[^' ]+|'[^']*'(?:"'"'[^']*')*))*'""")
"""A command in quotes, whose words may be quoted by ``shlex``."""

_SPACES = re.compile(" +")
_JOINT = "\ue000"
"""Placeholder for spaces at which no line is broken; ``visible`` text never contains it."""

_MIN_VALUE_ROOM = 24
"""Columns for a value beside its name; with fewer it is below."""


def is_terminal(stream: TextIO) -> bool:
    """Returns True if tables can be drawn on a stream: on a terminal, unless it is ASCII only.

    Unlike rich, it ignores ``FORCE_COLOR``: Jupyter sets that for every command, and a pipe must
    get the lines that the next command reads.
    """
    return stream.isatty() and _can_encode(stream)


def is_animated(stream: TextIO) -> bool:
    """Returns True if drawings on a stream can be updated in place: on a real terminal only."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def _can_encode(stream: TextIO) -> bool:
    try:
        _DRAWING.encode(stream.encoding or "utf-8")  # streams in memory have no encoding
    except UnicodeEncodeError:
        return False
    return True


def error_console() -> "Console":
    """Returns a rich console on standard error that prints text unchanged."""
    return output_console(stderr=True)


def output_console(*, stderr: bool = False) -> "Console":
    """Returns a rich console on standard output that prints text unchanged."""
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # handled by the command group, as for plain output

    return PlainConsole(stderr=stderr, highlight=False, markup=False, emoji=False)


def has_color(console: "Console") -> bool:
    """Returns True if a console shows colors: the terminal can, and ``NO_COLOR`` is not set."""
    return console.color_system is not None and not console.no_color


def print_styled(console: "Console", text: "Text") -> None:
    """Prints text broken at spaces only; a word that does not fit is left to the terminal."""
    console.print(broken(text, console.width, _SPACES), soft_wrap=True)


def print_facts(facts: "Iterable[tuple[str, str]]") -> None:
    """Prints names and values in two columns on a terminal.

    A value with a word too long for the second column, such as a path, is below its name, so that
    it can be copied; on a narrow terminal, so are all.
    """
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    facts, console = list(facts), output_console()
    column = max(cell_len(name) for name, _ in facts) + 2
    for name, value in facts:
        longest = max(map(cell_len, value.split()), default=0)
        if max(longest, _MIN_VALUE_ROOM) <= console.width - column:
            indent, start = column, set_cell_size(name, column)
        else:
            indent = 2 if longest <= console.width - 2 else 0
            start = f"{name}\n{' ' * indent}"
        lines = broken(Text(value), console.width - indent, _SPACES).split("\n")
        text = Text("\n" + " " * indent).join(lines)
        console.print(Text.assemble((start, "dim"), text), soft_wrap=True)


def broken(text: "Text", width: int, places: re.Pattern[str]) -> "Text":
    """Returns text with line breaks after matches of ``places``; rich breaks at spaces only."""
    from rich.text import Text

    lines = text.divide(line_breaks(text.plain, width, places))
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


def print_whole(*drawings: "RenderableType") -> None:
    """Draws tables and images on standard output.

    The terminal wraps drawings whose longest words do not fit; rich would cut them off.
    """
    for drawing in drawings:
        console = output_console()
        console.width = max(console.width, _measure(console, drawing).minimum)
        console.print(drawing)


def fits(*drawings: "RenderableType") -> bool:
    """Returns True if drawings fit on standard output without wrapping a cell."""
    console = output_console()
    return all(_measure(console, drawing).maximum <= console.width for drawing in drawings)


def _measure(console: "Console", drawing: "RenderableType") -> "Measurement":
    from rich.measure import Measurement

    unlimited = console.options.update(width=10_000)
    return Measurement.get(console, unlimited, drawing)


def print_text(text: str) -> None:
    """Prints a sentence on standard output: on a terminal broken at spaces, elsewhere one line.

    Raises:
        DigitcliError: As ``print_line`` raises it.
    """
    print_line(at_words(text, sys.stdout))


def print_line(text: str) -> None:
    """Prints a line on standard output and flushes it, so that a pipe gets it at once.

    Raises:
        DigitcliError: The line cannot be written, for example because the disk is full.
    """
    try:
        _write_line(sys.stdout, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable_output(error) from error


def _write_line(stream: TextIO, text: str) -> None:
    """Writes a line and flushes it, in one system call where the stream allows it.

    ``print`` writes the newline by itself if Python does not buffer (``PYTHONUNBUFFERED``), and
    lines of programs that share a pipe would mix.
    """
    stream.write(f"{text}\n")
    stream.flush()


def unwritable_output(error: OSError) -> DigitcliError:
    """Returns the error that standard output cannot be written."""
    return DigitcliError(
        f"cannot write to standard output: {error_reason(error)}", "redirect it to another place"
    )


def print_json(value: Any) -> None:
    """Prints a value as one line of JSON on standard output.

    File names that are not text contain lone surrogates, which some JSON readers refuse: those
    are escaped.
    """
    line = json.dumps(value, allow_nan=False)
    if "\\ud" in line:  # lone surrogates, or pairs, which stand for one valid character
        line = json.dumps(_without_surrogates(value), allow_nan=False)
    print_line(line)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value


def print_weights(path: Path, metadata: "Metadata") -> None:
    """Prints on standard error which checkpoint is used, how it was trained, and how to choose.

    The accuracy of the bundled weights is not printed: reading it would take a millisecond.
    """
    if is_bundled(path):
        print_note("using the bundled weights")
        return
    choice = f", not the bundled ones (--checkpoint {PRETRAINED})" if path == LATEST else ""
    print_note(f"using the weights {visible(str(path))} ({training_facts(metadata)}){choice}")


def as_kept(kept: Path) -> str:
    """Returns the end of a line about a checkpoint that is replaced and kept as ``kept``."""
    copy = ", in place of the copy there" if kept.exists() else ""
    return f", and kept as {visible(str(kept))}{copy}"


def training_facts(metadata: "Metadata") -> str:
    """Returns how weights were trained: data set, epochs, and accuracy if it is known."""
    done = metadata.epochs
    epochs = f"{done} epoch{'' if done == 1 else 's'}"
    if metadata.recipe is None:
        epochs = "imported"
    elif done < metadata.recipe.epochs:
        epochs = f"{done} of {metadata.recipe.epochs} epochs"
    facts = f"{visible(metadata.dataset)}, {epochs}"
    if metadata.accuracies:
        facts += f", {metadata.scored_on} accuracy {percent(metadata.accuracies[-1].accuracy)}"
    return facts


def print_note(text: str, bar: "Progress | None" = None) -> None:
    """Prints a diagnostic line on standard error, above ``bar`` if there is a live one.

    Errors of writing are ignored.
    """
    line = at_words(f"{program_name()}: {text}", sys.stderr)
    with contextlib.suppress(OSError):
        if bar is None:
            _write_line(sys.stderr, line)
        elif bar.console.stderr:
            bar.console.print(line, soft_wrap=True)
        else:  # on standard output and transient: stop() clears it
            bar.stop()
            print_note(text)
            bar.start()


@contextmanager
def written(what: str, path: Path, *, quiet: bool = False) -> "Iterator[None]":
    """Prints that the block wrote a file, or replaced it if one was there before."""
    verb = "replaced" if os.path.lexists(path) else "wrote"
    yield
    if not quiet:
        print_note(f"{verb} the {what} {visible(str(path))}")


def print_error(error: Exception | str) -> None:
    """Prints what is wrong and what to do next, as one line."""
    start = f"{program_name()}: error:"
    line = at_words(f"{start} {visible(str(error))}", sys.stderr)
    if is_terminal(sys.stderr):
        from rich.text import Text

        text = Text(line)
        text.stylize("bold red", end=len(start))
        error_console().print(text, soft_wrap=True)
    else:
        _write_line(sys.stderr, line)


def at_words(line: str, stream: TextIO) -> str:
    """Breaks a line at spaces if it is too long for the terminal that a stream is.

    A word that does not fit, such as a path, is left to the terminal. A command in quotes is never
    broken: the line break would be part of the copied text.
    """
    width = _terminal_width(stream)
    if not width or (len(line) <= width and line.isascii()):
        return line
    joined = _COMMAND.sub(lambda command: command[0].replace(" ", _JOINT), line)
    breaks = [0, *line_breaks(joined, width, _SPACES), len(line)]
    return "\n".join(line[start:end].rstrip(" ") for start, end in pairwise(breaks))


def _terminal_width(stream: TextIO) -> int:
    """Returns the columns of the terminal that a stream is, else 0; ``COLUMNS`` as for rich."""
    try:
        width = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # not a terminal, or a stream in memory
        return 0
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() else width


def line_breaks(line: str, width: int, places: re.Pattern[str]) -> list[int]:
    """Returns where to break a line into ones of ``width`` cells, after matches of ``places``.

    ``textwrap`` counts characters, of which Chinese ones take two cells.
    """
    from rich.cells import cell_len

    breaks, end = [], 0
    ends = [0, *(place.end() for place in places.finditer(line)), len(line)]
    for start, stop in pairwise(ends):
        if end and end + cell_len(line[start:stop].rstrip()) > width:
            breaks.append(start)
            end = 0
        end += cell_len(line[start:stop])
    return breaks


def is_first_process() -> bool:
    """Returns True unless torchrun started this process with another rank than 0."""
    return os.environ.get("RANK", "0") == "0"


def program_name() -> str:
    """Returns the name that begins lines on standard error, with the rank if it is not 0."""
    return "digitcli" if is_first_process() else f"digitcli [rank {visible(os.environ['RANK'])}]"
