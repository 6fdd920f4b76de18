"""The lines of ruled and squared paper: finding them, and taking them out."""

import math

import numpy as np
import numpy.typing as npt

from digitcli.data.arrays import Ink, Mask

_LINE_INK, _LINE = 0.15, 0.75
"""Ink from which a pixel may be of a ruled line, and what share of the way across it has it."""

_FAINT_LINE, _SEVERAL = 0.6, 3
"""Ruling is fainter than this against the digit's ink, or there are this many lines."""

_DARKER = 0.25
"""How much darker than a line the ink that crosses it is."""

_THICKEST, _MARGIN = 0.04, 0.05
"""Thickness of a ruled line at most, and its distance from the border at least, as shares of the
picture's height: along the border it is out of the digit's way."""

_LEFT = 0.1
"""Share of the ink that ruling leaves; if there is less, the lines were the digit."""

_LEAST_RULED = 64
"""Pixels of the shorter side; in a smaller picture lines are not thinner than strokes."""

_SKEW = math.tan(math.radians(5))
"""Ruling that leans more than this is not looked for."""


def remove_ruling(ink: Ink) -> Ink:
    """Takes out the lines of ruled and squared paper.

    A line of them crosses the whole picture, straight, thin, and fainter than the digit or one of
    several. Where the pen crosses it, the darker ink stays.

    Args:
        ink: float32 (height, width) in 0..1.

    Returns:
        The same without them.
    """
    without_rows = _without_rows(ink)
    return np.ascontiguousarray(_without_rows(without_rows.T).T)


def _without_rows(ink: Ink) -> Ink:
    """Takes out the lines that cross from left to right."""
    lines = _lines_across(ink > _LINE_INK)
    columns = np.arange(ink.shape[1])
    cleared = ink.copy()
    for rows, reach in lines:
        level = float(np.median(ink[rows, columns]))
        if len(lines) < _SEVERAL and level > _FAINT_LINE:
            continue
        for offset in range(-reach, reach + 1):
            at = (rows + offset).clip(0, len(ink) - 1)
            values = ink[at, columns]
            cleared[at, columns] = np.where(values > level + _DARKER, values, 0)
    return cleared if cleared.sum() >= _LEFT * ink.sum() else ink


def _lines_across(mask: Mask) -> list[tuple[npt.NDArray[np.int64], int]]:
    """Finds thin straight lines from the left border to the right one.

    Rows are counted along every slope within ``_SKEW``, as a Hough transform does.

    Returns:
        For each line the row of its middle in every column, int64 (width,), and half its width.
    """
    height, width = mask.shape
    edge = width // 20
    inked: Mask = mask.max(axis=0)
    if (
        min(height, width) < _LEAST_RULED
        or inked.mean() < _LINE
        or not (inked[:edge].any() and inked[-edge:].any())
    ):
        return []  # nothing crosses the picture: that is soon seen, and nearly always so
    reach = round(_SKEW * width / 2) + 1
    columns = np.arange(width)
    drifts = np.rint(
        np.linspace(-_SKEW, _SKEW, 2 * reach + 1)[:, None] * (columns - width / 2)
    ).astype(np.int64)
    padded = np.pad(mask, ((reach, reach), (0, 0)))
    some = columns[:: max(1, width // 100)]
    rows = np.arange(height)[:, None] + reach
    coverage = np.stack([padded[rows + drift[some], some].mean(axis=1) for drift in drifts])
    slope, best = coverage.argmax(axis=0), coverage.max(axis=0)

    on_line = np.flatnonzero(best >= _LINE)
    lines = []
    for group in np.split(on_line, np.flatnonzero(np.diff(on_line) > 1) + 1):
        if not len(group) or len(group) > max(3, _THICKEST * height):
            continue
        middle = int(group[best[group].argmax()])
        if _MARGIN * height < middle < (1 - _MARGIN) * height:
            row = (middle + drifts[slope[middle]]).clip(0, height - 1)
            lines.append((row, len(group) // 2 + 1))
    return lines
