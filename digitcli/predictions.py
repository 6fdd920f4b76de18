"""Answers: the digit that an image was read as, or all its digits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from digitcli.core.evaluation.ood import DIGITS
from digitcli.data.arrays import Box
from digitcli.text import decimal_share

UNSURE = "?"
"""Text in place of a label whose probability is too low."""

_MAX_NAMED = 10
"""Maximum number of shapes that a warning names; a run of them counts as one."""


@dataclass(frozen=True, repr=False)
class Prediction:
    """The digit that an image was read as.

    Attributes:
        label: Name of the most probable class, for example "7".
        probability: Probability of that class, in 0..1.
        probabilities: Probability of every class by name, in the checkpoint's order; sums to 1.
        warning: Why the image may not show one digit, or which images in the file are not read;
            None if there is nothing to warn of.
        others: Number of further shapes in the image as large as a digit.
        picture: The network's input, uint8 (28, 28), light ink on black.
    """

    label: str
    probability: float
    probabilities: dict[str, float] = field(hash=False)
    warning: str | None
    others: int
    picture: npt.NDArray[np.uint8] = field(compare=False)

    @cached_property
    def ranking(self) -> tuple[tuple[str, float], ...]:
        """The classes and their probabilities, the most probable first."""
        return tuple(sorted(self.probabilities.items(), key=lambda entry: -entry[1]))

    def __repr__(self) -> str:
        shown = decimal_share(self.probability)
        return f"Prediction(label={self.label!r}, probability={shown}, warning={self.warning!r})"

    def _repr_html_(self) -> str:
        """Returns what a notebook shows."""
        from digitcli.notebook import Answered, single_digit

        answered = Answered(self.label, self.probability, self.picture)
        return single_digit(answered, self.probabilities.items(), self.warning)

    def reaches(self, minimum: float) -> bool:
        """Returns True if the probability is at least ``minimum``.

        An image of several shapes never reaches a minimum above 0, since only one of them is read.
        """
        return self.probability >= minimum and not (minimum and self.others)

    def sure_text(self, minimum: float) -> str:
        """Returns the label, or ``?`` if the answer does not reach the minimum."""
        return self.label if self.reaches(minimum) else UNSURE


def warning_with_option(answer: Prediction) -> str | None:
    """Returns the warning of an answer, with the option of ``predict`` that reads all shapes."""
    if answer.warning is None or not answer.others:
        return answer.warning
    return f"{answer.warning}; predict --multi reads them all"


@dataclass(frozen=True)
class PlacedDigit:
    """One of the digits in an image: the answer, its position, and its row of text, from 0."""

    prediction: Prediction
    box: Box
    row: int


@dataclass(frozen=True, repr=False)
class Reading:
    """All digits of an image, in reading order: row by row, each from left to right.

    Attributes:
        digits: The digits with their positions.
        left_out: Number of shapes that are not read, but could be digits.
        turned: The image seems to be turned by a quarter.
        file_warning: Warning that other images in the file are not read, or None.
    """

    digits: tuple[PlacedDigit, ...]
    left_out: int = 0
    turned: bool = False
    file_warning: str | None = None

    def __repr__(self) -> str:
        shown = decimal_share(self.probability)
        return f"Reading(text={self.text!r}, probability={shown}, warning={self.warning!r})"

    def _repr_html_(self) -> str:
        """Returns what a notebook shows."""
        from digitcli.notebook import Answered, several_digits

        answers = [digit.prediction for digit in self.digits]
        answered = [Answered(one.label, one.probability, one.picture) for one in answers]
        return several_digits(answered, self.probability, self.warning)

    @property
    def text(self) -> str:
        """The labels joined, for example "90210"; with spaces if a label is longer than one."""
        return self.sure_text(0)

    @property
    def probability(self) -> float:
        """Probability that all digits are right: the product of their probabilities."""
        return math.prod(digit.prediction.probability for digit in self.digits)

    @property
    def warning(self) -> str | None:
        """A warning of shapes that may not be digits, and of what is not read, or None."""
        parts = [self.file_warning, self._doubt()]
        if self.turned:
            parts.append("the image seems to be turned by a quarter")
        if self.left_out:
            one = self.left_out == 1
            shapes = "a shape is" if one else f"{self.left_out} shapes are"
            parts.append(f"{shapes} not read that could be {'a digit' if one else 'digits'}")
        return "; ".join(part for part in parts if part) or None

    def _doubt(self) -> str | None:
        """Returns a warning that names the shapes that may not be digits, or None."""
        reasons = [digit.prediction.warning for digit in self.digits]
        doubtful = [number for number, why in enumerate(reasons, start=1) if why is not None]
        if not doubtful or len(reasons) == 1:
            return reasons[0] if reasons else None
        one = len(doubtful) == 1
        named = f"number{'' if one else 's'} {_join_numbers(doubtful)}"
        if not set(self.digits[0].prediction.probabilities) <= DIGITS:
            are = "answer to {} is" if one else "answers to {} are"
            return f"of {len(reasons)} shapes, the {are.format(named)} unsure"
        looks = "does not look like a digit" if one else "do not look like digits"
        return f"of {len(reasons)} shapes, {named} {looks}"

    def sure_text(self, minimum: float) -> str:
        """Returns the text with ``?`` for each digit that does not reach the minimum."""
        labels = [digit.prediction.sure_text(minimum) for digit in self.digits]
        return (" " if any(len(label) > 1 for label in labels) else "").join(labels)

    def reaches(self, minimum: float) -> bool:
        """Returns True if every digit reaches the minimum probability."""
        return all(digit.prediction.reaches(minimum) for digit in self.digits)


def _join_numbers(numbers: Sequence[int]) -> str:
    """Lists rising numbers: "2 to 9", "1, 3 and 5 to 7", "1, 3, ..., 19 and 40 more"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [part for run in runs for part in ([run] if len(run) > 2 else [[n] for n in run])]
    named = [f"{part[0]} to {part[-1]}" if len(part) > 1 else str(part[0]) for part in parts]
    if more := sum(map(len, parts[_MAX_NAMED:])):
        named[_MAX_NAMED:] = [f"{more} more"]
    *first, last = named
    return f"{', '.join(first)} and {last}" if first else last
