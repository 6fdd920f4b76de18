"""Shows predictions: the picture beside its bars on a terminal, tab-separated lines elsewhere."""

import base64
import os
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from digitcli.console.errors import print_error
from digitcli.console.streams import (
    error_console,
    has_colour,
    is_animated,
    is_terminal,
    output_console,
    print_json,
    print_line,
    print_note,
    print_weights,
    print_whole,
)
from digitcli.core.errors import PictureError
from digitcli.predictions import UNSURE
from digitcli.text import below_one, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress

    from digitcli.classifier import Classifier
    from digitcli.predictions import Prediction, Reading

Answer = TypeVar("Answer", "Prediction", "Reading")

_BAR_WIDTH = 24
_LEAST_BAR = 6
"""Columns of a bar at most, and at least beside a picture; in less room it stands below."""

_GAP = 3
_SHARE = len("100.00%")
_MOMENT = 1.0
"""Seconds after which somebody who sees nothing wants to know how far it is."""


class AnswerDisplay(ABC, Generic[Answer]):
    """Prints answers as they come, and how far it is where nothing else shows that.

    Args:
        classifier: Whose answers they are; its weights are told of before the first.
        as_json: A line of JSON each.
        quiet: The answer alone, and nothing of the checkpoint.
        minimum: What an answer has to reach so as not to be ``?``; see ``Prediction.reaches``.
    """

    _key: ClassVar[str]
    """What the answer is called in JSON."""

    def __init__(
        self, classifier: "Classifier", *, as_json: bool, quiet: bool, minimum: float
    ) -> None:
        self._checkpoint, self._metadata = classifier.path, classifier.metadata
        self._as_json, self._quiet = as_json, quiet
        self._minimum = minimum
        drawn = is_terminal(sys.stdout)
        self._console = output_console() if drawn else None
        self._counts = is_animated(sys.stderr) and not drawn
        self._started = time.monotonic()
        self._progress: Progress | None = None
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, path: str, answer: Answer) -> None:
        """Prints what the picture of this name was read as."""
        if not self._done and not self._quiet:
            print_weights(self._checkpoint, self._metadata)
        self._print(path, answer)
        if (warning := self._warning(answer)) is not None:
            print_note(f"{visible(path)}: {warning}")
        self._done += 1
        if self._counts:
            self._show_count()

    def show_failure(self, name: str, error: PictureError) -> None:
        """Tells what is wrong with a picture, on standard error and in its line of JSON."""
        if self._as_json:
            print_json({**named(name), self._key: None, "error": error.problem})
        print_error(error.of(name))

    @abstractmethod
    def _print(self, path: str, answer: Answer) -> None:
        """Prints an answer in the form that is wanted."""

    def _warning(self, answer: Answer) -> str | None:
        """Returns what to tell beside an answer."""
        return answer.warning

    def _show_count(self) -> None:
        if self._progress is None and time.monotonic() - self._started > _MOMENT:
            self._progress = _counter()
            self._progress.start()
        if self._progress is not None:
            rate = self._done / (time.monotonic() - self._started)
            text = f"{self._done:,} pictures  {rate:,.0f} a second"
            self._progress.update(self._progress.task_ids[0], description=text)


class PredictionDisplay(AnswerDisplay["Prediction"]):
    """Prints the digits of pictures of one.

    Args:
        classifier: As for ``AnswerDisplay``, as the others are.
        as_json: See there.
        quiet: See there.
        minimum: See there.
        top: This many of the most probable classes, in place of the best (lines) or all (bars).
    """

    _key = "digit"

    def __init__(
        self,
        classifier: "Classifier",
        *,
        as_json: bool,
        quiet: bool,
        minimum: float,
        top: int | None,
    ) -> None:
        super().__init__(classifier, as_json=as_json, quiet=quiet, minimum=minimum)
        self._top = top

    def _warning(self, answer: "Prediction") -> str | None:
        warning = answer.warning
        return f"{warning}; --multi reads them all" if warning and answer.others else warning

    def _print(self, path: str, answer: "Prediction") -> None:
        label = answer.sure_text(self._minimum)
        if self._as_json:
            print_json(_as_json(path, label, answer, self._checkpoint, self._top))
        elif self._quiet:
            print_line(visible(label))
        elif self._console is not None:
            _draw(self._console, path, label, answer, self._top)
        else:
            _print_plain(path, label, answer, self._top)


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


def _print_plain(path: str, answer: str, prediction: "Prediction", top: int | None) -> None:
    cells = [visible(path), visible(answer), f"{below_one(prediction.probability):.4f}"]
    if top is not None:
        for label, probability in prediction.ranking[1:top]:
            cells += [visible(label), f"{below_one(probability):.4f}"]
    print_line("\t".join(cells))


def _as_json(
    path: str, answer: str, prediction: "Prediction", checkpoint: Path, top: int | None
) -> dict[str, Any]:
    value: dict[str, Any] = {
        **named(path),
        "digit": digit_as_json(answer),
        "probability": prediction.probability,
        "probabilities": list(prediction.probabilities.values()),
        "warning": prediction.warning,
        "checkpoint": str(checkpoint),
    }
    if top is not None:
        value["top"] = [
            {"digit": digit_as_json(label), "probability": probability}
            for label, probability in prediction.ranking[:top]
        ]
    return value


def named(path: str) -> dict[str, str]:
    """Names a picture, and where its name is no text, which JSON holds, by its bytes as well."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return {"path": path, "path_base64": base64.b64encode(os.fsencode(path)).decode()}
    return {"path": path}


def digit_as_json(name: str) -> int | str:
    """A class named by a digit is a number in JSON; any other name, and "?", a string."""
    return int(name) if len(name) == 1 and name in "0123456789" else name


def _draw(
    console: "Console", path: str, answer: str, prediction: "Prediction", top: int | None
) -> None:
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    highlight = "bold yellow" if answer == UNSURE else "bold green"
    names = max(cell_len(visible(label)) for label in prediction.probabilities)
    room = console.width - names - _SHARE - 2
    beside = room - prediction.picture.shape[1] - _GAP
    below = beside < _LEAST_BAR
    width = max(_LEAST_BAR, min(_BAR_WIDTH, room if below else beside))
    bars = Table.grid(padding=(0, 1))
    bars.add_column(justify="right")
    bars.add_column(width=width)
    bars.add_column(justify="right")
    shown = prediction.probabilities.items() if top is None else prediction.ranking[:top]
    for label, probability in shown:
        style = highlight if label == prediction.label else "dim"
        bars.add_row(
            Text(visible(label), style=style),
            Text(bar(probability, width), style=style),
            Text(f"{below_one(probability):.2%}", style=style),
        )
    side = Table.grid()
    side.add_row(
        Text.assemble(
            (visible(answer), highlight),
            f"  {below_one(prediction.probability):.2%}",
        )
    )
    side.add_row("")
    side.add_row(bars)
    picture = half_blocks(prediction.picture, coloured=has_colour(console))
    console.print(Text(visible(path), style="bold"), soft_wrap=True)
    if below:
        print_whole(picture, side)
        return
    layout = Table.grid(padding=(0, _GAP))
    layout.add_row(picture, side)
    print_whole(layout)


def bar(share: float, width: int) -> str:
    """Draws a share in 0..1 as a bar of eighth blocks, at most ``width`` cells long."""
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def half_blocks(picture: npt.NDArray[np.uint8], *, coloured: bool) -> "RenderableType":
    """Draws a picture two pixels to a character cell.

    Args:
        picture: uint8 (height, width), the height even.
        coloured: In grey levels; otherwise in full and empty halves.
    """
    from rich.text import Text

    drawing: Text = Text(no_wrap=True)
    for row in range(0, picture.shape[0], 2):
        if row:
            drawing.append("\n")
        for upper, lower in zip(picture[row].tolist(), picture[row + 1].tolist(), strict=True):
            if coloured:
                grey = f"rgb({upper},{upper},{upper}) on rgb({lower},{lower},{lower})"
                drawing.append("▀", style=grey)
            else:
                drawing.append(" ▄▀█"[2 * (upper > 127) + (lower > 127)])
    return drawing
