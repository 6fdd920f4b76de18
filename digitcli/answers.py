"""What pictures are read as."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

UNSURE = "?"
"""Stands for a class that is not sure enough."""

_MOST_NAMED = 10
"""Shapes that a warning names at most."""


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


class Box(NamedTuple):
    """A place in a picture, in its pixels, as it is seen upright; the last two are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


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
        doubtful = [
            str(number)
            for number, digit in enumerate(self.digits, start=1)
            if digit.prediction.warning is not None
        ]
        if not doubtful:
            return None
        named = ", ".join(doubtful[:_MOST_NAMED])
        if len(doubtful) > _MOST_NAMED:
            named += f" and {len(doubtful) - _MOST_NAMED} more"
        return f"of its {len(self.digits)} shapes, number {named} does not look like one digit"

    def sure_text(self, minimum: float) -> str:
        """Returns the text with ``?`` in the place of each digit of a lower probability."""
        labels = [digit.prediction.sure_text(minimum) for digit in self.digits]
        return (" " if any(len(label) > 1 for label in labels) else "").join(labels)

    def reaches(self, minimum: float) -> bool:
        """Says whether each of the digits has this probability at least."""
        return all(digit.prediction.reaches(minimum) for digit in self.digits)
