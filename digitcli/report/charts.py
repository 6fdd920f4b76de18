"""Geometry of a chart of two shares: from numbers to the coordinates that a template draws."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

WIDTH, HEIGHT = 420, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 46
"""Size and margins in units of the SVG, which are pixels if there is room for all of it."""


class Tick(NamedTuple):
    """A number on an axis: its coordinate, and its text."""

    at: float
    label: str


class Chart:
    """A chart of two shares, written in percent.

    Args:
        x: Smallest and largest share on the horizontal axis.
        y: The same for the vertical axis.
    """

    left, right = _LEFT, WIDTH - _RIGHT
    top, bottom = _TOP, HEIGHT - _BOTTOM

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y
        self.x_ticks = [Tick(self.x(share), label) for share, label in _round_shares(*x)]
        self.y_ticks = [Tick(self.y(share), label) for share, label in _round_shares(*y)]

    def x(self, share: float) -> float:
        """Returns the horizontal coordinate of a share."""
        low, high = self._x
        return round(self.left + (share - low) / (high - low) * (self.right - self.left), 1)

    def y(self, share: float) -> float:
        """Returns the vertical coordinate of a share."""
        low, high = self._y
        return round(self.bottom - (share - low) / (high - low) * (self.bottom - self.top), 1)

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        """Returns a line through points as an SVG path."""
        return "M" + "L".join(f"{self.x(x):g},{self.y(y):g}" for x, y in points)


def _round_shares(low: float, high: float) -> Iterator[tuple[float, str]]:
    """Yields round percentages from ``low`` to ``high``, at most seven: share and label."""
    power = 10.0 ** math.floor(math.log10((high - low) * 100))
    steps = (factor * scale for scale in (power / 10, power) for factor in (1, 2, 5))
    step = next(step for step in steps if (high - low) * 100 / step <= 6)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low * 100 / step - 1e-6), math.floor(high * 100 / step + 1e-6)
    for k in range(first, last + 1):
        yield k * step / 100, f"{k * step:.{digits}f}"
