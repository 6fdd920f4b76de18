"""What pictures are read as."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from digitcli.core.evaluation.ood import DIGITS
from digitcli.data.arrays import Box

UNSURE = "?"
"""Stands for a class that is not sure enough."""

_MOST_NAMED = 10
"""Shapes that a warning names at most; a run of them counts as one."""


@dataclass(frozen=True)
class Prediction:
    """What a picture was read as.

    Attributes:
        label: The name of the most probable class, "7" say.
        probability: Of that class, in 0..1.
        probabilities: Of every class by its name, in the order of the checkpoint; their sum is 1.
        warning: Why this is perhaps not a picture of one digit, or None.
        others: Further shapes in the picture that are as large as a digit.
        picture: What the network saw, uint8 (28, 28), ink light on black.
    """

    label: str
    probability: float
    probabilities: dict[str, float] = field(hash=False)
    warning: str | None
    others: int
    picture: npt.NDArray[np.uint8] = field(repr=False, compare=False)

    @cached_property
    def ranking(self) -> tuple[tuple[str, float], ...]:
        """The classes and their probabilities, the most probable first."""
        return tuple(sorted(self.probabilities.items(), key=lambda entry: -entry[1]))

    def reaches(self, minimum: float) -> bool:
        """Says whether the answer is sure enough.

        Args:
            minimum: The least probability, in 0..1. Above 0, a picture of several shapes never
                reaches it: one of several digits is not the answer, however sure.
        """
        return self.probability >= minimum and not (minimum and self.others)

    def sure_text(self, minimum: float) -> str:
        """Returns the label, or ``?`` where the answer is not sure enough."""
        return self.label if self.reaches(minimum) else UNSURE


@dataclass(frozen=True)
class PlacedDigit:
    """One of a picture's digits.

    Attributes:
        prediction: What it was read as.
        box: Where it is.
        row: Which row of writing it stands in, from 0.
    """

    prediction: Prediction
    box: Box
    row: int


@dataclass(frozen=True)
class Reading:
    """What a picture of several digits was read as.

    Attributes:
        digits: In reading order: rows from top to bottom, each from left to right.
    """

    digits: tuple[PlacedDigit, ...]

    @property
    def text(self) -> str:
        """The digits' labels, one after the other: "90210", say; long ones with spaces between."""
        return self.sure_text(0)

    @property
    def probability(self) -> float:
        """That all digits are right: the product of theirs."""
        return math.prod(digit.prediction.probability for digit in self.digits)

    @property
    def warning(self) -> str | None:
        """Which of the digits perhaps are none, or None."""
        reasons = [digit.prediction.warning for digit in self.digits]
        doubtful = [number for number, why in enumerate(reasons, start=1) if why is not None]
        if not doubtful or len(reasons) == 1:
            return reasons[0] if reasons else None
        one = len(doubtful) == 1
        named = f"number{'' if one else 's'} {_in_words(doubtful)}"
        if not set(self.digits[0].prediction.probabilities) <= DIGITS:
            are = "answer to {} is" if one else "answers to {} are"
            return f"of its {len(reasons)} shapes, the {are.format(named)} unsure"
        looks = "does not look like a digit" if one else "do not look like digits"
        return f"of its {len(reasons)} shapes, {named} {looks}"

    def sure_text(self, minimum: float) -> str:
        """Returns the text with ``?`` in the place of each digit of a lower probability."""
        labels = [digit.prediction.sure_text(minimum) for digit in self.digits]
        return (" " if any(len(label) > 1 for label in labels) else "").join(labels)

    def reaches(self, minimum: float) -> bool:
        """Says whether each of the digits has this probability at least."""
        return all(digit.prediction.reaches(minimum) for digit in self.digits)


def _in_words(numbers: Sequence[int]) -> str:
    """Lists numbers that rise: "2 to 9", "1, 3 and 5 to 7", "1, 3, ..., 19 and 40 more"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [part for run in runs for part in ([run] if len(run) > 2 else [[n] for n in run])]
    named = [f"{part[0]} to {part[-1]}" if len(part) > 1 else str(part[0]) for part in parts]
    if more := sum(map(len, parts[_MOST_NAMED:])):
        named[_MOST_NAMED:] = [f"{more} more"]
    *first, last = named
    return f"{', '.join(first)} and {last}" if first else last
