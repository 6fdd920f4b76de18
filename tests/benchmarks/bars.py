"""The bars that the bundled weights must reach, and the values that ``pictures.py`` measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class Measured(Protocol):
    """The properties of a case that the bars are computed from."""

    @property
    def row(self) -> str: ...
    @property
    def right(self) -> bool: ...
    @property
    def caught(self) -> bool: ...
    @property
    def warned(self) -> bool: ...
    @property
    def silently_wrong(self) -> bool: ...
    @property
    def labeled(self) -> bool: ...


@dataclass(frozen=True)
class Evaluated:
    """The result of ``eval`` on MNIST's test set, and the accuracy on the digits of the variants.

    Attributes:
        accuracy: Fraction of the 10,000 images read correctly.
        ece: Expected calibration error on them.
        same_digits: Fraction read correctly of the digits that the variants show.
        count: Number of these digits.
    """

    accuracy: float
    ece: float
    same_digits: float
    count: int


@dataclass(frozen=True)
class Bar:
    """A value, in percent or points, and its bar.

    Attributes:
        what: What is measured.
        value: The measured value.
        limit: The bar.
        at_least: True if the value should be at least the bar, False if at most.
        count: Number of images.
        reach: True if the bar is an aim rather than a requirement.
    """

    what: str
    value: float
    limit: float
    at_least: bool
    count: int
    reach: bool = False

    @property
    def met(self) -> bool:
        rounded = round(self.value, 6)
        return rounded >= self.limit if self.at_least else rounded <= self.limit


VARIANTS = ("mnist-png", "mnist-border", "mnist-inverted", "mnist-10x-nearest", "mnist-10x-bicubic")
CROPPED = ("mnist-cropped", "mnist-cropped-inverted")

_RIGHT = [
    ("wild singles, right", "wild-single-", 99.3, False),
    ("wild2 singles, right", "wild2-single-", 99, False),
    ("wild2 multi, handwritten, right", "wild2-multi", 92, False),
    ("wild2 printed rows, right", "wild2-printed-rows", 60, True),
    ("wild2 printed, right", "wild2-printed", 96, False),
    ("crops, right", "crops", 96, False),
    ("canvas, right", "canvas", 98.5, False),
    ("fonts held out, right", "font-", 99, False),
    ("ones with an upstroke, right", "one-upstroke-", 98, False),
]
"""Name, row (the beginning of rows' names if it ends in a hyphen), bar, True for an aim."""

_CAUGHT = [
    ("wild2 non-digits, warned or refused", "wild2-notdigit"),
    ("drawings, warned or refused", "drawing-"),
    ("letters unlike digits, warned or refused", "letters-unlike-digits"),
    ("photos, warned or refused", "photo-"),
]


def bars_of(cases: Sequence[Measured], evaluated: Evaluated | None) -> Iterator[Bar]:
    """Yields the bars of the rows that were measured."""

    def of(row: str) -> list[Measured]:
        return [c for c in cases if c.row == row or (row[-1] == "-" and c.row.startswith(row))]

    if evaluated:
        yield Bar("MNIST test, right", 100 * evaluated.accuracy, 99.5, True, 10_000)
        yield Bar("MNIST test, ECE", 100 * evaluated.ece, 0.25, False, 10_000)
        for names, limit in ((VARIANTS, -0.1), (CROPPED, -0.4)):
            for name in names:
                if found := of(name):
                    gap = _percent(found, lambda c: c.right) - 100 * evaluated.same_digits
                    yield Bar(f"{name}, right, against eval", gap, limit, True, len(found))
    for what, row, limit, reach in _RIGHT:
        if found := of(row):
            share = _percent(found, lambda c: c.right)
            yield Bar(what, share, limit, True, len(found), reach)
    if found := [case for case in of("wild2-") if case.labeled]:
        share = _percent(found, lambda c: c.silently_wrong)
        yield Bar("wild2, wrong over 0.9 without a warning", share, 0.5, False, len(found))
        right = [case for case in found if case.right]
        share = _percent(right, lambda c: c.warned)
        yield Bar("wild2, right answers with a warning", share, 2, False, len(right))
    for what, row in _CAUGHT:
        if found := of(row):
            yield Bar(what, _percent(found, lambda c: c.caught), 90, True, len(found))
    if found := of("mnist-png"):
        share = _percent(found, lambda c: c.warned)
        yield Bar("MNIST test, warned", share, 0.5, False, len(found))


def _percent(cases: Sequence[Measured], holds: Callable[[Measured], bool]) -> float:
    return 100 * sum(map(holds, cases)) / len(cases) if cases else 0.0
