"""Shows what pictures of several digits were read as: each with its place and its probability."""

from itertools import groupby
from typing import TYPE_CHECKING, Any

from digitcli.console.prediction import AnswerDisplay, digit_as_json, half_blocks, named
from digitcli.console.streams import has_colour, print_json, print_line
from digitcli.predictions import UNSURE, PlacedDigit, Reading
from digitcli.text import below_one, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class ReadingDisplay(AnswerDisplay[Reading]):
    """Prints the strings of pictures of several digits."""

    _key = "text"

    def _print(self, path: str, answer: Reading) -> None:
        text = answer.sure_text(self._minimum)
        if self._as_json:
            print_json(self._json(path, text, answer))
        elif self._quiet:
            print_line(visible(text))
        elif self._console is not None:
            self._draw(self._console, path, text, answer)
        else:
            shares = [answer.probability, *(d.prediction.probability for d in answer.digits)]
            cells = [visible(path), visible(text), *(f"{below_one(share):.4f}" for share in shares)]
            print_line("\t".join(cells))

    def _json(self, path: str, text: str, reading: Reading) -> dict[str, Any]:
        return {
            **named(path),
            "text": text,
            "probability": reading.probability,
            "digits": [
                {
                    "digit": digit_as_json(digit.prediction.sure_text(self._minimum)),
                    "probability": digit.prediction.probability,
                    "probabilities": list(digit.prediction.probabilities.values()),
                    "box": list(digit.box),
                    "row": digit.row,
                    "warning": digit.prediction.warning,
                }
                for digit in reading.digits
            ],
            "warning": reading.warning,
            "checkpoint": str(self._checkpoint),
        }

    def _draw(self, console: "Console", path: str, text: str, reading: Reading) -> None:
        """Draws what the network saw of each digit, row by row, side by side where they fit."""
        from rich.columns import Columns
        from rich.text import Text

        console.print(Text(visible(path), style="bold"), soft_wrap=True)
        highlight = "bold yellow" if UNSURE in text else "bold green"
        rows = [list(row) for _, row in groupby(reading.digits, lambda digit: digit.row)]
        lines = "\n".join(visible(Reading(tuple(row)).sure_text(self._minimum)) for row in rows)
        console.print(Text.assemble((lines, highlight), f"  {below_one(reading.probability):.2%}"))
        for row in rows:
            cells = [self._cell(digit, coloured=has_colour(console)) for digit in row]
            console.print()
            console.print(Columns(cells, padding=(1, 2)))
        console.print()

    def _cell(self, digit: PlacedDigit, *, coloured: bool) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        label = digit.prediction.sure_text(self._minimum)
        highlight = "bold yellow" if label == UNSURE else "bold green"
        probability = below_one(digit.prediction.probability)
        answer = Text.assemble((visible(label), highlight), f"  {probability:.2%}")
        picture = digit.prediction.picture.reshape(14, 2, 14, 2).max(axis=(1, 3))  # half as large
        return Group(answer, half_blocks(picture, coloured=coloured))
