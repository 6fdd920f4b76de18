"""Candidates of cuts between touching digits: paths through a component that cross little ink.

Cuts are seams from the top of a component to its bottom that cross as little ink as possible: the
shortest paths of the drop-fall family (Congedo, Dimauro, Impedovo and Pirlo 1995), found by dynamic
programming for many places along the component at once. There are more of them than digits; the
network decides which are right.
"""

import numpy as np
import numpy.typing as npt

from digitcli.data.arrays import Floats, Ink

# Lengths are fractions of a digit's height.
_SPACING = 0.05  # distance between the places where seams are searched for
_BAND = 0.3  # maximum distance of a seam from its place
_MIN_DISTANCE = 0.08  # minimum distance between neighboring cuts
_DETOUR_COST = 0.5  # cost of a seam's move to the side by a height, in stroke widths of ink
_MAX_INK = 5.0  # maximum stroke widths crossed by a cut; several where strokes run into each other
_MAX_DENSITY = 5  # maximum cuts per height of the component's width; touching digits have 3 or 4
_MIN_SIDE_INK = 0.03  # minimum ink to either side of a cut, as a fraction of a digit's ink

CutCandidate = tuple[npt.NDArray[np.int64], float]
"""The first column to the right of a cut in each row, int64 (height,), and the ink crossed in
stroke widths."""


def find_cut_candidates(ink: Ink, stroke_width: float, height: float) -> list[CutCandidate]:
    """Finds the best cuts through a component's ink, from left to right; they never cross.

    ``height`` is that of a digit; both lengths are in pixels.
    """
    width = ink.shape[1]
    if width < 4:
        return []
    places = np.arange(1, width - 1, max(1.0, _SPACING * height))
    seams = _find_seams(ink, places, stroke_width, height)
    crossed = np.take_along_axis(ink[None], seams[:, :, None], axis=2)[..., 0].sum(axis=1)
    crossed = crossed / stroke_width
    sums = np.zeros((len(ink), width + 1))
    np.cumsum(ink, axis=1, out=sums[:, 1:])
    left = sums[np.arange(len(ink)), seams].sum(axis=1)
    total = float(ink.sum())
    least = _MIN_SIDE_INK * total / max(1.0, width / height)
    weight = ink.max(axis=1)
    centers = seams @ weight / weight.sum()
    kept: list[int] = []
    cost = np.where((left > least) & (left < total - least), crossed, np.inf)
    most = _MAX_DENSITY * width / height
    while len(kept) < most and cost[best := int(cost.argmin())] <= _MAX_INK:
        kept.append(best)
        cost[np.abs(centers - centers[best]) < _MIN_DISTANCE * height] = np.inf
    kept.sort(key=lambda i: centers[i])
    columns = np.maximum.accumulate(seams[kept], axis=0) if kept else seams[:0]
    return [(columns[k], float(crossed[i])) for k, i in enumerate(kept)]


def _find_seams(
    ink: Ink, places: Floats, stroke_width: float, height: float
) -> npt.NDArray[np.int64]:
    """Returns the cheapest seam near each place: the column in each row, (places, height)."""
    rows, width = ink.shape
    reach = max(1, round(_BAND * height))
    offsets = np.arange(-reach, reach + 1)
    columns = np.rint(places).astype(np.int64)[:, None] + offsets
    away = (np.abs(offsets) / height * (stroke_width / rows)).astype(np.float32)
    cost = np.where((columns >= 0) & (columns < width), away, np.float32(np.inf))
    columns = columns.clip(0, width - 1)
    aside = np.float32(_DETOUR_COST * stroke_width / height)
    steps = np.empty((rows, *columns.shape), dtype=np.int8)
    total = cost + ink[0][columns]
    for row in range(1, rows):
        padded = np.pad(total, ((0, 0), (1, 1)), constant_values=np.inf)
        paths = np.stack([padded[:, :-2] + aside, padded[:, 1:-1], padded[:, 2:] + aside])
        steps[row] = paths.argmin(axis=0) - 1
        total = paths.min(axis=0) + cost + ink[row][columns]
    seams = np.empty((len(places), rows), dtype=np.int64)
    at = total.argmin(axis=1)
    every = np.arange(len(places))
    for row in range(rows - 1, -1, -1):
        seams[:, row] = columns[every, at]
        at = at + steps[row, every, at] if row else at
    return seams
