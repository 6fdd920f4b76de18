"""Where the marks of a chart go: from numbers to coordinates, which the template draws."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 420, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 46
"""Units of the drawing, which are pixels where there is room for all of it."""


@dataclass(frozen=True)
class Tick:
    """A number on an axis.

    Attributes:
        at: Its coordinate.
        label: How it is written.
    """

    at: float
    label: str


class Chart:
    """The plane of two shares, written in percent.

    Args:
        x: Least and greatest share along the horizontal axis.
        y: The same of the vertical axis.

    Attributes:
        left: Edges of the plane.
        right: The same.
        top: The same.
        bottom: The same.
        x_ticks: Round numbers along the axis.
        y_ticks: The same.
    """

    left, right = _LEFT, WIDTH - _RIGHT
    top, bottom = _TOP, HEIGHT - _BOTTOM

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y
        self.x_ticks = [Tick(self.x(value), label) for value, label in _round_shares(*x)]
        self.y_ticks = [Tick(self.y(value), label) for value, label in _round_shares(*y)]

    def x(self, share: float) -> float:
        """Returns the coordinate of a share along the horizontal axis."""
        low, high = self._x
        return round(self.left + (share - low) / (high - low) * (self.right - self.left), 1)

    def y(self, share: float) -> float:
        """Returns the coordinate of a share along the vertical axis."""
        low, high = self._y
        return round(self.bottom - (share - low) / (high - low) * (self.bottom - self.top), 1)

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        """Returns a line through points of the plane, as SVG has it."""
        return "M" + "L".join(f"{self.x(x):g},{self.y(y):g}" for x, y in points)


_STEPS = (1, 2, 5)


def _round_shares(low: float, high: float) -> Sequence[tuple[float, str]]:
    """Lists four to ten round percentages from ``low`` to ``high``, shares, and their labels."""
    power = 10.0 ** math.floor(math.log10((high - low) * 100))
    step = next(
        factor * scale
        for scale in (power / 10, power)
        for factor in _STEPS
        if (high - low) * 100 / (factor * scale) <= 6
    )
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low * 100 / step - 1e-6), math.floor(high * 100 / step + 1e-6)
    return [(k * step / 100, f"{k * step:.{digits}f}") for k in range(first, last + 1)]
