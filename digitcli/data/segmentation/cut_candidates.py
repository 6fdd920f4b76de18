"""Where digits that touch could be parted: the ways through a piece that cross little ink.

Cuts are seams from the top of a piece to its bottom that cross as little ink as they can: the
shortest paths of the drop-fall family (Congedo, Dimauro, Impedovo and Pirlo 1995), found by dynamic
programming for many places along the piece at once. There are more of them than digits; which are
right is for the network to say.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcli.data.arrays import Ink

_BETWEEN = 0.05
"""Distance between the places that seams are looked for at, as a share of a digit's height."""

_BAND = 0.3
"""How far a seam goes to either side of its place, in the same shares."""

_STRAIGHT = 0.5
"""Widths of the pen that a seam may cross rather than wander to the side by a digit's height."""

_MOST_INK = 5.0
"""Widths of the pen that a cut crosses at most; where strokes run into each other it is several."""

_APART = 0.08
"""Distance between neighbouring cuts at least, as a share of a digit's height."""

_MOST = 5
"""Cuts at most for each of a digit's heights that a piece is wide; where digits touch there are
three or four."""

_LEAST = 0.03
"""Share of the ink of a digit that a cut leaves to either side at least."""


@dataclass(frozen=True)
class Cut:
    """A way through a piece, from its top to its bottom.

    Attributes:
        columns: int (height,), the first column of each row that lies to the right of the cut.
        ink: What it crosses, in widths of the pen.
    """

    columns: npt.NDArray[np.int64]
    ink: float


def find_cuts(ink: Ink, pen: float, height: float) -> list[Cut]:
    """Finds the places where a piece could be cut, from left to right; they never cross.

    Args:
        ink: float32 (height, width), a piece alone.
        pen: Width of its strokes in pixels.
        height: Of a digit, in pixels.
    """
    width = ink.shape[1]
    if width < 4:
        return []
    places = np.arange(1, width - 1, max(1.0, _BETWEEN * height))
    seams = _seams(ink, places, pen, height)
    crossed = np.take_along_axis(ink[None], seams[:, :, None], axis=2)[..., 0].sum(axis=1) / pen
    sums = np.zeros((len(ink), width + 1))
    np.cumsum(ink, axis=1, out=sums[:, 1:])
    left = sums[np.arange(len(ink)), seams].sum(axis=1)
    least = _LEAST * float(ink.sum()) / max(1.0, width / height)
    weight = ink.max(axis=1)
    middles = seams @ weight / weight.sum()
    kept: list[int] = []
    total = float(ink.sum())
    price = np.where((left > least) & (left < total - least), crossed, np.inf)
    most = _MOST * width / height
    while len(kept) < most and price[best := int(price.argmin())] <= _MOST_INK:
        kept.append(best)
        price[np.abs(middles - middles[best]) < _APART * height] = np.inf
    kept.sort(key=lambda i: middles[i])
    columns = np.maximum.accumulate(seams[kept], axis=0) if kept else seams[:0]
    return [Cut(columns[k], float(crossed[i])) for k, i in enumerate(kept)]


def _seams(
    ink: Ink, places: npt.NDArray[np.float64], pen: float, height: float
) -> npt.NDArray[np.int64]:
    """Finds the cheapest way from top to bottom near each place.

    Returns:
        int (places, height), the column in each row.
    """
    rows, width = ink.shape
    reach = max(1, round(_BAND * height))
    offsets = np.arange(-reach, reach + 1)
    columns = np.rint(places).astype(np.int64)[:, None] + offsets
    away = (np.abs(offsets) / height * (pen / rows)).astype(np.float32)
    cost = np.where((columns >= 0) & (columns < width), away, np.float32(np.inf))
    columns = columns.clip(0, width - 1)
    aside = np.float32(_STRAIGHT * pen / height)
    steps = np.empty((rows, *columns.shape), dtype=np.int8)
    total = cost + ink[0][columns]
    for row in range(1, rows):
        padded = np.pad(total, ((0, 0), (1, 1)), constant_values=np.inf)
        ways = np.stack([padded[:, :-2] + aside, padded[:, 1:-1], padded[:, 2:] + aside])
        best = ways.argmin(axis=0)
        steps[row] = best - 1
        total = ways.min(axis=0) + cost + ink[row][columns]
    seams = np.empty((len(places), rows), dtype=np.int64)
    at = total.argmin(axis=1)
    every = np.arange(len(places))
    for row in range(rows - 1, -1, -1):
        seams[:, row] = columns[every, at]
        at = at + steps[row, every, at] if row else at
    return seams
