"""Shows the answers of ``predict``: drawn on a terminal, tab-separated lines or JSON elsewhere."""

import base64
import os
import sys
import time
from abc import ABC, abstractmethod
from itertools import groupby
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from digitcli.console.streams import (
    error_console,
    has_color,
    is_animated,
    is_terminal,
    output_console,
    print_error,
    print_json,
    print_line,
    print_note,
    print_styled,
    print_weights,
    print_whole,
)
from digitcli.core.errors import PictureError
from digitcli.predictions import PlacedDigit, Prediction, Reading, warning_with_option
from digitcli.text import decimal_share, percent, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    from digitcli.classifier import Classifier

Answer = TypeVar("Answer", Prediction, Reading)

_MIN_BAR, _MAX_BAR = 6, 24
"""Columns of a bar. With less room than the minimum, the bars stand below the image."""

_GAP = 3
_PERCENT = len("100.00%")

_MAX_DRAWN = 10
"""Number of images drawn on a terminal. Later ones get a line each, and all are summed up."""

_COUNTER_DELAY = 1.0
"""Seconds before the progress counter appears."""


class AnswerDisplay(ABC, Generic[Answer]):
    """Prints answers as they come, and a progress counter while they go to a file or a pipe.

    Args:
        classifier: The classifier; its weights are named before the first answer.
        as_json: Print a line of JSON for each answer.
        quiet: Print only the answers.
        minimum: Minimum probability of an answer; see ``Prediction.reaches``.
        top: Number of classes to show of one digit. Default: 1 in a line, all on a terminal.
    """

    def __init__(
        self,
        classifier: "Classifier",
        *,
        as_json: bool,
        quiet: bool,
        minimum: float,
        top: int | None = None,
    ) -> None:
        self._checkpoint, self._metadata = classifier.path, classifier.metadata
        self._as_json, self._quiet = as_json, quiet
        self._minimum, self._top = minimum, top
        self._console = output_console() if is_terminal(sys.stdout) else None
        self._counts = is_animated(sys.stderr) and self._console is None
        self._started = time.monotonic()
        self._progress: Progress | None = None
        self._done = self._failed = self._doubtful = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
        if error is None and self._done > _MAX_DRAWN and not self._quiet:
            print_note(
                f"{self._done - self._failed:,} read, {self._doubtful:,} in doubt, "
                f"{self._failed:,} failed"
            )

    def show(self, path: str, answer: Answer) -> None:
        """Prints the answer for an image."""
        if self._done == self._failed and not self._quiet:  # the first answer
            print_weights(self._checkpoint, self._metadata)
        if self._as_json:
            self._print_json(path, self._json(answer), None)
        elif self._quiet:
            print_line(visible(answer.sure_text(self._minimum)))
        elif self._console is not None:
            self._show_on_terminal(self._console, path, answer)
        else:
            print_line("\t".join([visible(path), *self._cells(answer)]))
        if (warning := self._warning(answer)) is not None:
            print_note(f"{visible(path)}: {warning}", self._progress)
        self._doubtful += warning is not None or not answer.reaches(self._minimum)
        self._count()

    def _show_on_terminal(self, console: "Console", path: str, answer: Answer) -> None:
        """Draws an answer; of the later ones, only path, digits and probability in a line."""
        from rich.text import Text

        if self._done < _MAX_DRAWN:
            print_styled(console, Text(visible(path), style="bold"))
            self._draw(console, answer)
            return
        print_styled(console, Text.assemble(f"{visible(path)}  ", self._outcome(answer)))

    def show_failure(self, name: str, error: PictureError) -> None:
        """Prints the error of an image on standard error, and in its line of JSON."""
        if self._as_json:
            self._print_json(name, dict.fromkeys(self._keys), error.problem)
        if self._progress is not None:
            self._progress.stop()  # its line is removed
        print_error(error.with_name(name))
        if self._progress is not None:
            self._progress.start()
        self._failed += 1
        self._count()

    def _print_json(self, path: str, values: dict[str, Any], error: str | None) -> None:
        """Prints a record, which has the same keys with and without an error."""
        origin = {"checkpoint": str(self._checkpoint), "error": error}
        print_json({**_path_as_json(path), **values, **origin})

    @property
    @abstractmethod
    def _keys(self) -> tuple[str, ...]:
        """Keys of an answer in JSON."""

    @abstractmethod
    def _json(self, answer: Answer) -> dict[str, Any]:
        """Returns the values of ``_keys`` for an answer."""

    @abstractmethod
    def _cells(self, answer: Answer) -> list[str]:
        """Returns the cells of a line, without the path."""

    @abstractmethod
    def _draw(self, console: "Console", answer: Answer) -> None:
        """Draws an answer, below the path."""

    def _warning(self, answer: Answer) -> str | None:
        """Returns the note below an answer, or None."""
        return answer.warning

    def _digit_json(self, answer: Prediction) -> dict[str, Any]:
        return {
            "digit": _label_as_json(answer.sure_text(self._minimum)),
            "probability": answer.probability,
            "probabilities": list(answer.probabilities.values()),
        }

    def _style(self, answer: Prediction | Reading) -> str:
        return "bold green" if answer.reaches(self._minimum) else "bold yellow"

    def _outcome(
        self,
        answer: Prediction | Reading,
        rows: "Sequence[Prediction | Reading]" = (),
        *,
        reason: bool = True,
    ) -> "Text":
        """Returns the text of an answer, with a line for each of ``rows``, and its probability.

        The probability is not that of ``?``: what was read is named beside it, and why it is in
        doubt, if there is room for the ``reason``.
        """
        from rich.text import Text

        lines = rows or [answer]
        text = "\n".join(visible(line.sure_text(self._minimum)) for line in lines)
        share = percent(answer.probability)
        if not answer.reaches(self._minimum):
            read = " / ".join(visible(line.sure_text(0)) for line in lines)
            share = f"{read} at {share}"
            if reason and isinstance(answer, Prediction):
                too_low = answer.probability < self._minimum
                share += f", below {self._minimum:.15g}" if too_low else ", beside other shapes"
        return Text.assemble((text, self._style(answer)), f"  {share}")

    def _count(self) -> None:
        self._done += 1
        if not self._counts:
            return
        seconds = time.monotonic() - self._started
        if self._progress is None and seconds > _COUNTER_DELAY:
            self._progress = _counter()
            self._progress.start()
        if self._progress is not None:
            text = f"{self._done:,} images  {self._done / seconds:,.0f} a second"
            self._progress.update(self._progress.task_ids[0], description=text)


class PredictionDisplay(AnswerDisplay[Prediction]):
    """Prints the digits of images that show one."""

    @property
    def _keys(self) -> tuple[str, ...]:
        keys = ("digit", "probability", "probabilities", "warning")
        return keys if self._top is None else (*keys, "top")

    def _warning(self, answer: Prediction) -> str | None:
        return warning_with_option(answer)

    def _json(self, answer: Prediction) -> dict[str, Any]:
        value = self._digit_json(answer)
        value["warning"] = answer.warning
        if self._top is not None:
            value["top"] = [
                {"digit": _label_as_json(label), "probability": probability}
                for label, probability in answer.ranking[: self._top]
            ]
        return value

    def _cells(self, answer: Prediction) -> list[str]:
        shown = [(answer.sure_text(self._minimum), answer.probability)]
        if self._top is not None:
            shown += answer.ranking[1 : self._top]
        return [cell for label, p in shown for cell in (visible(label), decimal_share(p))]

    def _draw(self, console: "Console", answer: Prediction) -> None:
        """Draws the network's input beside the bars, or above them on a narrow terminal."""
        from rich.cells import cell_len
        from rich.table import Table

        labels = max(cell_len(visible(label)) for label in answer.probabilities)
        room = console.width - labels - _PERCENT - 2
        beside = room - answer.picture.shape[1] - _GAP
        image = half_blocks(answer.picture, colored=has_color(console))
        if beside < _MIN_BAR:
            print_whole(image, self._bars(answer, max(_MIN_BAR, min(_MAX_BAR, room))))
            return
        layout = Table.grid(padding=(0, _GAP))
        layout.add_column(min_width=answer.picture.shape[1])
        layout.add_column()
        layout.add_row(image, self._bars(answer, min(_MAX_BAR, beside)))
        print_whole(layout)

    def _bars(self, answer: Prediction, width: int) -> "Table":
        """Returns the answer above the bars of the classes."""
        from rich.table import Table
        from rich.text import Text

        bars = Table.grid(padding=(0, 1))
        bars.add_column(justify="right")
        bars.add_column(width=width)
        bars.add_column(justify="right")
        shown = answer.probabilities.items() if self._top is None else answer.ranking[: self._top]
        for name, probability in shown:
            style = self._style(answer) if name == answer.label else "dim"
            cells = (visible(name), bar(probability, width), percent(probability))
            bars.add_row(*(Text(cell, style=style) for cell in cells))
        side = Table.grid()
        side.add_row(self._outcome(answer))
        side.add_row("")
        side.add_row(bars)
        return side


class ReadingDisplay(AnswerDisplay[Reading]):
    """Prints the digits of images that show several, each with its position and probability."""

    _keys = ("text", "probability", "digits", "warning")

    def _json(self, answer: Reading) -> dict[str, Any]:
        return {
            "text": answer.sure_text(self._minimum),
            "probability": answer.probability,
            "digits": [
                self._digit_json(digit.prediction)
                | {"box": list(digit.box), "row": digit.row, "warning": digit.prediction.warning}
                for digit in answer.digits
            ],
            "warning": answer.warning,
        }

    def _cells(self, answer: Reading) -> list[str]:
        each = [answer.probability, *(digit.prediction.probability for digit in answer.digits)]
        text = visible(answer.sure_text(self._minimum))
        return [text, *map(decimal_share, each)]

    def _draw(self, console: "Console", answer: Reading) -> None:
        """Draws the network's input for each digit, row by row, side by side where they fit."""
        from rich.columns import Columns

        rows = [list(row) for _, row in groupby(answer.digits, lambda digit: digit.row)]
        print_styled(console, self._outcome(answer, [Reading(tuple(row)) for row in rows]))
        for row in rows:
            console.print()
            console.print(Columns([self._digit(console, digit) for digit in row], padding=(1, 2)))
        console.print()

    def _digit(self, console: "Console", digit: PlacedDigit) -> "RenderableType":
        from rich.console import Group

        halved = digit.prediction.picture.reshape(14, 2, 14, 2).max(axis=(1, 3))
        image = half_blocks(halved, colored=has_color(console))
        return Group(self._outcome(digit.prediction, reason=False), image)


def _counter() -> "Progress":
    from rich.progress import Progress, SpinnerColumn, TextColumn

    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        console=error_console(),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    progress.add_task("", total=None)
    return progress


def _path_as_json(path: str) -> dict[str, str]:
    """Returns a path for JSON; one that is not valid text also as its bytes in Base64."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return {"path": path, "path_base64": base64.b64encode(os.fsencode(path)).decode()}
    return {"path": path}


def _label_as_json(label: str) -> int | str:
    """Returns a digit as a number; any other label, and "?", as a string."""
    return int(label) if len(label) == 1 and label in "0123456789" else label


def bar(share: float, width: int) -> str:
    """Draws a share in 0..1 as a bar of eighth blocks, at most ``width`` cells long."""
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def half_blocks(picture: npt.NDArray[np.uint8], *, colored: bool) -> "RenderableType":
    """Draws uint8 (even height, width), two pixels to a cell: gray levels, or full and empty."""
    from rich.text import Text

    drawing: Text = Text(no_wrap=True)
    for row in range(0, picture.shape[0], 2):
        if row:
            drawing.append("\n")
        for upper, lower in zip(picture[row].tolist(), picture[row + 1].tolist(), strict=True):
            if colored:
                gray = f"rgb({upper},{upper},{upper}) on rgb({lower},{lower},{lower})"
                drawing.append("▀", style=gray)
            else:
                drawing.append(" ▄▀█"[2 * (upper > 127) + (lower > 127)])
    return drawing
